"""Accuracy under one protocol: leave one out in time order, the whole catalogue ranked, all users.

The figures with `seen removed` are what a user of the service gets; those without are what papers report.
Processes that work together share the users, and each gets the figures of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from model_export.contract.history import encode_history
from model_export.contract.reasoning import ReasoningLoop, beam_evidence
from model_export.contract.scoring import Array
from training import distributed
from training.data.sequences import Holdout
from training.metrics import ranking_metrics, target_ranks, user_ndcg

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
    seen_kept: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Figures]:
    """Metrics after each number of steps, under names like "4 steps".

    Args:
        popularity: (N,) training interactions, for the mean popularity of what is recommended.
        steps: numbers of reasoning steps to report, ascending.
        parts: also the ranking by the states alone and by the beam search alone.
        seen_kept: reason once more with the items of the history allowed, for the figures "seen kept".
        advance: is called with the number of users that were just evaluated, by all processes.
    """
    boards: dict[str, Board] = {}
    for part, users in own_batches(len(holdout.targets), *distributed.share()):
        histories, targets = holdout.histories[part], holdout.targets[part]
        rows = encode_history(histories, max(map(len, histories)))
        unseen = unseen_mask(histories, len(popularity))
        everything = np.ones_like(unseen)
        rankings = _rankings(loop, histories, unseen, steps, parts)
        kept = _rankings(loop, histories, everything, steps, parts) if seen_kept else None
        for name, scores in rankings:
            board = boards.setdefault(name, Board(popularity))
            board.add(scores, targets, rows, next(kept)[1] if kept else None)
        advance(users)
    shares = distributed.gathered(boards)
    return {
        name: Board.joined([share[name] for share in shares if share]).figures()
        for name in shares[0]
    }


def own_batches(users: int, rank: int, count: int) -> Iterator[tuple[slice, int]]:
    """One of `count` processes' batches of users, and how many of them all look at meanwhile."""
    together = BATCH * count
    for begin in range(0, users, together):
        first = begin + BATCH * rank
        if first < users:
            yield slice(first, first + BATCH), min(together, users - begin)


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


def ndcg_by_beam_weight(
    loop: ReasoningLoop, holdout: Holdout, weights: Sequence[float]
) -> dict[float, NDArray[np.float64]]:
    """NDCG@10 of each user after the most steps, seen items removed, for each weight of the beam search."""
    ranks: dict[float, list[NDArray[np.int64]]] = {weight: [] for weight in weights}
    for part, _ in own_batches(len(holdout.targets), *distributed.share()):
        histories = holdout.histories[part]
        rows = encode_history(histories, max(map(len, histories)))
        allowed = unseen_mask(histories, len(loop.tables.item_vectors))
        *_, step = loop.run(histories, allowed)
        beams = beam_evidence(*loop.search(step), allowed.shape[1])
        for weight, found in ranks.items():
            scores = step.scores + weight * beams
            found.append(target_ranks(scores, holdout.targets[part], rows))
    shares = distributed.gathered(ranks)
    return {
        weight: user_ndcg(np.concatenate([r for share in shares for r in share[weight]]), 10)
        for weight in weights
    }


def weight_that_pays(by_weight: Mapping[float, NDArray[np.float64]]) -> float:
    """The weight with the best mean figure, if that gains more than a standard error over none; else 0.

    A search takes time, and of several weights that do nothing one always looks best.

    Args:
        by_weight: figures of the same users (U,), also for weight 0.
    """
    best = max(by_weight, key=lambda weight: by_weight[weight].mean())
    gain = by_weight[best] - by_weight[0.0]
    error = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else np.inf
    return best if gain.mean() > error else 0.0


def unseen_mask(histories: Sequence[NDArray[np.int64]], n_items: int) -> NDArray[np.bool_]:
    """(B, N) everything but the items of each history."""
    unseen = np.ones((len(histories), n_items), dtype=bool)
    for line, history in zip(unseen, histories, strict=True):
        line[history] = False
    return unseen


class Board:
    """Collects rankings and sums them up.

    Attributes:
        ranks: of each target, seen items removed.
        ranks_kept: the same, seen items kept, where that was asked for.
    """

    def __init__(self, popularity: NDArray[np.int64]) -> None:
        self.ranks = np.zeros(0, dtype=np.int64)
        self.ranks_kept = np.zeros(0, dtype=np.int64)
        self._popularity = popularity
        self._shown = np.zeros(len(popularity), dtype=np.int64)

    @classmethod
    def joined(cls, boards: Sequence[Board]) -> Board:
        """One board of all that several collected."""
        whole = cls(boards[0]._popularity)
        whole.ranks = np.concatenate([board.ranks for board in boards])
        whole.ranks_kept = np.concatenate([board.ranks_kept for board in boards])
        whole._shown = np.sum([board._shown for board in boards], axis=0)
        return whole

    def add(
        self,
        scores: Array,
        targets: NDArray[np.int64],
        histories: NDArray[np.int64],
        kept: Array | None = None,
    ) -> None:
        """Rankings (B, N) for targets (B,) after right-aligned histories (B, H).

        Args:
            kept: the rankings where items of the history may be recommended again.
        """
        self.ranks = np.concatenate([self.ranks, target_ranks(scores, targets, histories)])
        if kept is not None:
            self.ranks_kept = np.concatenate([self.ranks_kept, target_ranks(kept, targets)])
        unseen = np.concatenate([scores, np.zeros((len(scores), 1), scores.dtype)], 1)
        np.put_along_axis(unseen, histories, -np.inf, 1)
        top = np.argpartition(-unseen[:, :-1], min(TOP, unseen.shape[1] - 2), axis=1)[:, :TOP]
        self._shown += np.bincount(top.ravel(), minlength=len(self._shown))

    def figures(self) -> Figures:
        """Recall and NDCG, where asked for also seen kept; coverage and popularity of what is shown."""
        kept = ranking_metrics(self.ranks_kept) if len(self.ranks_kept) else {}
        return {
            **ranking_metrics(self.ranks),
            **{f"{name} seen kept": value for name, value in kept.items()},
            "coverage": float((self._shown > 0).mean()),
            "popularity": float((self._shown * self._popularity).sum() / self._shown.sum()),
        }
