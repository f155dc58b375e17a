"""Which history items an answer rests on: leave each one out, reason again, and compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.trace import Reasoner, ScoredItems, Trace

MEASURED = 20
"""Newest history positions whose items are measured."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Influence:
    """What H history items did to one answer of C items and S steps.

    Chances are a softmax over the scores of all items that may be recommended, or over all codes
    that may be written. A value is ln(chance with the item / chance without it): 0.69 means twice as
    likely with it, a negative value that the item held something back.

    Attributes:
        rows: the H history items, oldest first.
        on_answer: (H,) mean over the recommended items.
        on_items: (C, H) for each recommended item.
        ranks: (C, H) rank of each recommended item without the history item.
        on_rankings: (S, H) for each step, mean over the items that were on top after it.
        on_codes: (S, H) for each step, of the code that was written; 0 at step 0.
    """

    rows: list[int]
    on_answer: Floats
    on_items: Floats
    ranks: NDArray[np.int64]
    on_rankings: Floats
    on_codes: Floats


def measure_influence(
    reasoner: Reasoner,
    trace: Trace,
    allowed: NDArray[np.bool_],
    items: ScoredItems | None = None,
) -> Influence | None:
    """Influence on the answer of `trace`, or None where there is nothing to compare with.

    All histories go through the reasoning in one batch, for as many steps as the answer took.

    Args:
        reasoner: the model that made the answer.
        trace: of the answer.
        allowed: (N,) items that could have been recommended.
        items: what the model reads of these items; None where that is what the bundle says.
    """
    left_out = measured_rows(trace.history)
    if not trace.steps or not trace.items or len(set(trace.history)) < 2:
        return None
    recommended = [item.row for item in trace.items]
    allowed = allowed.copy()
    shown = [row for step in trace.steps for row in step.top] + recommended
    allowed[shown] = True
    histories = [trace.history, *(without(trace.history, [row]) for row in left_out)]
    pairs = list(zip(trace.history, trace.counts, strict=False))  # none where all count 1
    counts = [trace.counts, *([n for row, n in pairs if row != gone] for gone in left_out)]

    on_rankings = np.zeros((len(trace.steps), len(left_out)), np.float32)
    on_codes = np.zeros_like(on_rankings)
    codes: Floats = np.empty((0, 0), np.float32)
    replay = reasoner.replay(histories, allowed, len(trace.steps) - 1, counts, items, shown)
    for number, (step, replayed) in enumerate(zip(trace.steps, replay, strict=True)):
        if step.written is not None:
            on_codes[number] = -_change(codes[:, [step.written[0]]])[:, 0]
        chances = _log_chances(replayed.scores)
        on_rankings[number] = -_change(chances[:, step.top]).mean(1)
        codes = _log_chances(replayed.code_logits)
    on_items = -_change(chances[:, recommended]).T
    mine = replayed.scores[1:, recommended]
    ranks = 1 + np.stack(
        [
            (scores > own[:, None]).sum(1)
            for scores, own in zip(replayed.scores[1:], mine, strict=True)
        ]
    )
    return Influence(left_out, on_items.mean(0), on_items, ranks.T, on_rankings, on_codes)


def measured_rows(history: Sequence[int]) -> list[int]:
    """The distinct items at the newest positions of a history, oldest first."""
    return list(dict.fromkeys(history[-MEASURED:]))


def without(history: Sequence[int], rows: Sequence[int]) -> list[int]:
    """The history with every occurrence of `rows` left out."""
    return [row for row in history if row not in rows]


def _change(values: Floats) -> Floats:
    """(V, …) values of the full history and of the others → (V - 1, …) others less full."""
    change: Floats = values[1:] - values[0]
    return change


def _log_chances(scores: Floats) -> Floats:
    below = scores - scores.max(1, keepdims=True)
    chances: Floats = below - np.log(np.exp(below).sum(1, keepdims=True))
    return chances
