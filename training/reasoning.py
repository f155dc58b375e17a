"""Iterative inference: how a reasoning trace is labelled, and how one is written.

Labelling knows the target t (paper, stage 2): the residual r_{i+1} = MLP_r(t − s_i) picks the nearest
code as pseudo-label, the code is written, the state moves, and so on. Writing knows only the history.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from training.decoding import Step, first_step, next_step
from training.model import Context, StreamRec

Chooser = Callable[[Tensor], Tensor]
"""Token logits (B, T) to the token (B,) that is written."""


def greedy(logits: Tensor) -> Tensor:
    """The most likely token."""
    return logits.argmax(-1)


def sampled(temperature: float, generator: torch.Generator) -> Chooser:
    """A token drawn at a temperature."""

    def choose(logits: Tensor) -> Tensor:
        return torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0]

    return choose


def reason(
    model: StreamRec, context: Context, steps: int, choose: Chooser = greedy
) -> tuple[list[Step], Tensor]:
    """Write `steps` reasoning tokens.

    Returns:
        Steps 0 … `steps`, and the tokens (B, steps).
    """
    trace = [first_step(model, context)]
    tokens = []
    for _ in range(steps):
        token = choose(model.token_logits(trace[-1].decoded))
        tokens.append(token)
        trace.append(next_step(model, context, trace[-1], token))
    batch = len(trace[0].decoded)
    return trace, torch.stack(tokens, 1) if tokens else torch.empty(batch, 0, dtype=torch.long)


@torch.no_grad()
def annotate(
    model: StreamRec, context: Context, target: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Pseudo-labels o_1 … o_steps that lead from the history towards target vectors t (B, d).

    Returns:
        Tokens (B, steps), and the distance 1 − cos(s_i, t) before the first and after every step
        (B, steps + 1).
    """
    step = first_step(model, context)
    tokens, distances = [], [1 - (step.state * target).sum(-1)]
    for _ in range(steps):
        token = nearest_code(model, model.residual(target, step.state))
        step = next_step(model, context, step, token)
        tokens.append(token)
        distances.append(1 - (step.state * target).sum(-1))
    return torch.stack(tokens, 1), torch.stack(distances, 1)


def nearest_code(model: StreamRec, residual: Tensor) -> Tensor:
    """o = argmin_k ‖e_k − r‖ over the residual codebook, for residuals (..., d)."""
    codes = model.codebook.weight
    # ‖e − r‖² but for ‖r‖², which all codes share: torch.cdist would copy the codebook for each trace.
    return (residual @ codes.T - codes.square().sum(-1) / 2).argmax(-1)


@torch.no_grad()
def start_codebook(model: StreamRec) -> None:
    """Place every code at what it adds to the items that carry it, level by level.

    The mean residual of a code's items, in the space of the item vectors, so that the first
    pseudo-labels already mean what their items mean.
    """
    rest = model.item_targets()
    for level in range(model.vocabulary.levels):
        tokens = model.items.tokens[:, level]
        total = torch.zeros_like(model.codebook.weight).index_add_(0, tokens, rest)
        count = torch.bincount(tokens, minlength=len(total)).clamp(min=1)[:, None]
        mean = total / count
        used = tokens.unique()
        model.codebook.weight[used] = mean[used]
        rest = rest - mean[tokens]
