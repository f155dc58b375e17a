"""Accuracy under one protocol: leave one out in time order, the whole catalogue ranked, all users.

The figures with `seen removed` are what a user of the service gets; those without are what papers report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from model_export.contract.history import encode_history
from model_export.contract.reasoning import ReasoningLoop, beam_evidence
from model_export.contract.scoring import Array
from training.data.sequences import Holdout
from training.metrics import ranking_metrics, target_ranks

BATCH = 256
TOP = 10

Figures = dict[str, float]


def evaluate_loop(
    loop: ReasoningLoop,
    holdout: Holdout,
    popularity: NDArray[np.int64],
    steps: Sequence[int],
    *,
    parts: bool = False,
    seen_kept: bool = True,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Figures]:
    """Metrics after each number of steps, under names like "4 steps".

    Args:
        popularity: (N,) training interactions, for the mean popularity of what is recommended.
        steps: numbers of reasoning steps to report, ascending.
        parts: also the ranking by the states alone and by the beam search alone.
        seen_kept: reason once more with the items of the history allowed, for the figures "seen kept".
        advance: is called with the number of users that were just evaluated.
    """
    boards: dict[str, Board] = {}
    for begin in range(0, len(holdout.targets), BATCH):
        part = slice(begin, begin + BATCH)
        histories, targets = holdout.histories[part], holdout.targets[part]
        rows = encode_history(histories, max(map(len, histories)))
        unseen = _unseen(histories, len(popularity))
        everything = np.ones_like(unseen)
        rankings = _rankings(loop, histories, unseen, steps, parts)
        kept = _rankings(loop, histories, everything, steps, parts) if seen_kept else None
        for name, scores in rankings:
            board = boards.setdefault(name, Board(popularity))
            board.add(scores, targets, rows, next(kept)[1] if kept else None)
        advance(len(targets))
    return {name: board.figures() for name, board in boards.items()}


def _rankings(
    loop: ReasoningLoop,
    histories: Sequence[NDArray[np.int64]],
    allowed: NDArray[np.bool_],
    steps: Sequence[int],
    parts: bool,
) -> Iterator[tuple[str, Array]]:
    for step in islice(loop.run(histories, allowed), max(steps) + 1):
        if step.index not in steps:
            continue
        name = step_name(step.index)
        yield name, loop.final_scores(step)
        if parts:
            yield f"{name}, state only", step.mean_state @ loop.tables.item_vectors.T
            yield f"{name}, beam only", beam_evidence(*loop.search(step), allowed.shape[1])


def step_name(steps: int) -> str:
    """Under which name the figures after so many steps stand."""
    return f"{steps} step" + "s" * (steps != 1)


def beam_weight_figures(
    loop: ReasoningLoop, holdout: Holdout, weights: Sequence[float]
) -> dict[float, float]:
    """NDCG@10 after the most steps, seen items removed, for each weight of the beam search."""
    ranks: dict[float, list[NDArray[np.int64]]] = {weight: [] for weight in weights}
    for begin in range(0, len(holdout.targets), BATCH):
        part = slice(begin, begin + BATCH)
        histories = holdout.histories[part]
        allowed = _unseen(histories, len(loop.tables.item_vectors))
        *_, step = loop.run(histories, allowed)
        beams = beam_evidence(*loop.search(step), allowed.shape[1])
        for weight, found in ranks.items():
            found.append(target_ranks(step.scores + weight * beams, holdout.targets[part]))
    return {w: ranking_metrics(np.concatenate(found))["ndcg@10"] for w, found in ranks.items()}


def _unseen(histories: Sequence[NDArray[np.int64]], n_items: int) -> NDArray[np.bool_]:
    unseen = np.ones((len(histories), n_items), dtype=bool)
    for line, history in zip(unseen, histories, strict=True):
        line[history] = False
    return unseen


class Board:
    """Collects rankings and sums them up."""

    def __init__(self, popularity: NDArray[np.int64]) -> None:
        self._popularity = popularity
        self._ranks: list[NDArray[np.int64]] = []
        self._ranks_unseen: list[NDArray[np.int64]] = []
        self._shown = np.zeros(len(popularity), dtype=np.int64)

    def add(
        self,
        scores: Array,
        targets: NDArray[np.int64],
        histories: NDArray[np.int64],
        kept: Array | None = None,
    ) -> None:
        """Rankings (B, N) for targets (B,) after right-aligned histories (B, H).

        Args:
            kept: the rankings where items of the history may be recommended again; `scores` too if
                not given.
        """
        self._ranks.append(target_ranks(scores if kept is None else kept, targets))
        self._ranks_unseen.append(target_ranks(scores, targets, histories))
        unseen = np.concatenate([scores, np.zeros((len(scores), 1), scores.dtype)], 1)
        np.put_along_axis(unseen, histories, -np.inf, 1)
        top = np.argpartition(-unseen[:, :-1], min(TOP, unseen.shape[1] - 2), axis=1)[:, :TOP]
        self._shown += np.bincount(top.ravel(), minlength=len(self._shown))

    @property
    def ranks(self) -> NDArray[np.int64]:
        """(users,) rank of each target, seen items removed."""
        return np.concatenate(self._ranks_unseen)

    def figures(self) -> Figures:
        """Recall and NDCG with seen items removed and kept, coverage, mean popularity shown."""
        kept = ranking_metrics(np.concatenate(self._ranks))
        return {
            **ranking_metrics(self.ranks),
            **{f"{name} seen kept": value for name, value in kept.items()},
            "coverage": float((self._shown > 0).mean()),
            "popularity": float((self._shown * self._popularity).sum() / self._shown.sum()),
        }
