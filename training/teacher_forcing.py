"""One parallel decoder pass over a known sequence THINK o_1 … o_q ANSWER c_1 … c_m."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.layers import additive_mask
from training.model import Context, StreamRec


@dataclass(frozen=True)
class Forced:
    """Decoder outputs along known sequences.

    Attributes:
        reasoning: (P, q + 1, d) outputs d_0 … d_q at THINK and the reasoning tokens.
        answer: (P, m, d) outputs at ANSWER, c_1 … c_{m-1}: each predicts the next code.
    """

    reasoning: Tensor
    answer: Tensor

    def states(self, model: StreamRec) -> Tensor:
        """States s_0 … s_q (P, q + 1, d)."""
        return model.state(self.reasoning.cumsum(1))


def force(
    model: StreamRec,
    context: Context,
    reasoning: Tensor,
    item: Tensor,
    reasons: Tensor | None = None,
) -> Forced:
    """Decode known sequences.

    Args:
        reasoning: (P, q) reasoning tokens.
        item: (P, m) code tokens of the target.
        reasons: (P,) bool; where False the answer is given directly, blind to the reasoning tokens.
    """
    q, m = reasoning.shape[1], item.shape[1]
    level = torch.arange(m, device=item.device)
    control = item.new_full((len(item), 1), model.vocabulary.answer)
    x = torch.cat(
        [
            model.think_input(context),
            model.reasoning_inputs(reasoning, 1),
            model.answer_inputs(torch.cat([control, item[:, :-1]], 1), level),
        ],
        1,
    )
    length = 1 + q + m
    visible = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()[None]
    if reasons is not None:
        hidden = torch.zeros_like(visible)
        hidden[:, 1 + q :, 1 : 1 + q] = True
        visible = visible & ~(hidden & ~reasons[:, None, None])
    decoded, _, _ = model.decode(x, model.empty_cache(x), additive_mask(visible)[:, None], context)
    return Forced(decoded[:, : 1 + q], decoded[:, 1 + q :])
