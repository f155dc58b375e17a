"""The losses of stages 1 and 2, each on its own."""

from __future__ import annotations

import math

import numpy as np
import torch
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
) -> Tensor:
    """State–target contrast as a softmax over the whole catalogue, one value per step (S,).

    With every item as a negative, s_i is also a dense retriever: each step ranks the catalogue.

    Args:
        states: (P, S, d) unit states.
        targets: (N, d) unit item vectors.
        row: (P,) target rows.
        negatives: (K,) distinct rows, drawn uniformly, that stand for the whole catalogue in the
            softmax; all of it if not given.
    """
    scaled = states * model.state_scale.exp()
    own = (scaled * targets[row][:, None]).sum(-1)
    mean = scaled @ targets.mean(0)
    if negatives is None:
        everything = (scaled @ targets.T).logsumexp(-1)
    else:
        is_target = (negatives == row[:, None])[:, None]
        others = (scaled @ targets[negatives].T).masked_fill(is_target, MASKED).logsumexp(-1)
        everything = torch.logaddexp(own, others + math.log(len(targets) / len(negatives)))
    return (everything - (1 - smoothing) * own - smoothing * mean).mean(0)


def draw_negatives(n_items: int, count: int, rng: np.random.Generator) -> Tensor | None:
    """Rows (count,) of a sampled softmax, or None where the whole catalogue costs little more."""
    if n_items < 2 * count:
        return None
    return tensor(rng.choice(n_items, count, replace=False))


def step_weights(steps: int) -> Tensor:
    """Weights 1 … steps, normalised: later steps weigh more."""
    rising = torch.arange(1, steps + 1, dtype=torch.float32)
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
