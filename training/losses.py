"""The losses of stages 1 and 2, each on its own."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from training.distributed import tensor
from training.layers import MASKED
from training.model import StreamRec


def code_log_likelihood(model: StreamRec, answer: Tensor, item: Tensor) -> Tensor:
    """log p(c_1 … c_m | what came before) (P,) of code tokens `item` (P, m).

    Args:
        answer: (P, m, d) decoder outputs that predict the codes; each softmax runs over one level.
    """
    logits = model.token_logits(answer)
    total = logits.new_zeros(len(item))
    for level, offset in enumerate(model.vocabulary.offsets):
        log_p = logits[:, level, model.vocabulary.level_slice(level)].log_softmax(-1)
        total = total + log_p.gather(1, item[:, level, None] - offset)[:, 0]
    return total


def reasoning_log_likelihood(model: StreamRec, reasoning: Tensor, tokens: Tensor) -> Tensor:
    """log p of each reasoning token (P, q); the softmax runs over the codes of all levels.

    Args:
        reasoning: (P, q + 1, d) outputs d_0 … d_q; d_i predicts o_{i+1}.
        tokens: (P, q).
    """
    log_p = model.token_logits(reasoning[:, :-1]).log_softmax(-1)
    return log_p.gather(-1, tokens[..., None])[..., 0]


def state_loss(
    model: StreamRec,
    states: Tensor,
    targets: Tensor,
    row: Tensor,
    smoothing: float,
    negatives: Tensor | None = None,
    expected: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """State–target contrast as a softmax over the whole catalogue, one value per step (S,).

    With every item as a negative, s_i is also a dense retriever: each step ranks the catalogue.

    Args:
        states: (P, S, d) unit states.
        targets: (N, d) unit item vectors.
        row: (P,) target rows.
        negatives: (K,) distinct rows, drawn uniformly, that stand for the whole catalogue in the
            softmax; all of it if not given.
        expected: candidates (P, C), distinct, and their shares (P, C) of the target distribution;
            `row` has the rest.
    """
    scaled = states * model.state_scale.exp()
    mean = scaled @ targets.mean(0)
    known, share, repeated = _target_distribution(row, expected)
    if negatives is None:
        logits = scaled @ targets.T
        everything = logits.logsumexp(-1)
        own = logits.gather(-1, known[:, None].expand(-1, states.shape[1], -1))
    else:
        own = torch.einsum("psd,pcd->psc", scaled, targets[known])
        is_known = _holds(known, negatives)[:, None]
        others = (scaled @ targets[negatives].T).masked_fill(is_known, MASKED).logsumexp(-1)
        everything = torch.logaddexp(
            own.masked_fill(repeated[:, None], MASKED).logsumexp(-1),
            others + math.log(len(targets) / len(negatives)),
        )
    wanted = (own * share[:, None]).sum(-1)
    return (everything - (1 - smoothing) * wanted - smoothing * mean).mean(0)


def _target_distribution(
    row: Tensor, expected: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, their shares, and which of them repeat the target; each (P, 1 + C), the target first."""
    known = row[:, None]
    if expected is None:
        return known, torch.ones(known.shape), torch.zeros(known.shape, dtype=torch.bool)
    candidates, share = expected
    is_target = candidates == known
    others = share.masked_fill(is_target, 0)
    return (
        torch.cat([known, candidates], 1),
        torch.cat([1 - others.sum(1, keepdim=True), others], 1),
        torch.cat([torch.zeros_like(known, dtype=torch.bool), is_target], 1),
    )


def _holds(known: Tensor, negatives: Tensor) -> Tensor:
    """Which of the negatives (K,) are among the known rows (P, C): (P, K)."""
    ordered, order = negatives.sort()
    count = len(negatives)
    place = torch.searchsorted(ordered, known).clamp(max=count - 1)
    found = torch.where(ordered[place] == known, order[place], count)
    mask = torch.zeros(len(known), count + 1, dtype=torch.bool)
    return mask.scatter(1, found, True)[:, :count]


def draw_negatives(n_items: int, count: int, rng: np.random.Generator) -> Tensor | None:
    """Rows (count,) of a sampled softmax, or None where the whole catalogue costs little more."""
    if n_items < 2 * count:
        return None
    return tensor(rng.choice(n_items, count, replace=False))


def step_weights(steps: int) -> NDArray[np.float64]:
    """Weights 1 … steps, normalised: later steps weigh more."""
    rising = np.arange(1.0, steps + 1)
    return rising / rising.sum()


def quantization_loss(residual: Tensor, code: Tensor, commitment: float) -> Tensor:
    """‖sg(r) − e‖² + β ‖r − sg(e)‖², averaged: pulls the chosen code and the residual together.

    Args:
        residual: (..., d) r.
        code: (..., d) the chosen codebook vectors e.
    """
    to_code = (residual.detach() - code).square().sum(-1)
    to_residual = (residual - code.detach()).square().sum(-1)
    return (to_code + commitment * to_residual).mean()


def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    chosen_reference: Tensor,
    rejected_reference: Tensor,
    beta: float,
) -> Tensor:
    """−log σ(β [(log π/π_ref)(chosen) − (log π/π_ref)(rejected)]), averaged over pairs (P,).

    Direct preference optimisation: chosen is slow thinking's answer, rejected the direct model's.
    """
    margin = (chosen - chosen_reference) - (rejected - rejected_reference)
    return -F.logsigmoid(beta * margin).mean()
