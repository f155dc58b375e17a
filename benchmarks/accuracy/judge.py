"""Judges any scorer: leave one out in time order, the whole catalogue ranked, ties against the scorer.

Also says for which targets it works, and at what cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from model_export.contract.history import Rows, encode_history
from model_export.contract.scoring import Array
from training.data.sequences import Holdout
from training.metrics import ranking_metrics, target_ranks

Figures = dict[str, float]

BATCH = 256
"""Users that are ranked at once."""
RARE = 5
"""A target with at most this many training interactions is rare; without any it is cold."""


class Judge:
    """Collects the rankings of one scorer.

    Args:
        popularity: (N,) training interactions of each item.
    """

    def __init__(self, popularity: NDArray[np.int64]) -> None:
        self._popularity = popularity
        self._ranks: list[NDArray[np.int64]] = []
        self._ranks_kept: list[NDArray[np.int64]] = []
        self._targets: list[NDArray[np.int64]] = []
        self._seconds = 0.0

    def add(
        self,
        scores: Array,
        targets: NDArray[np.int64],
        histories: Sequence[NDArray[np.int64]],
        seconds: float,
        kept: Array | None = None,
    ) -> None:
        """Add the rankings of a batch.

        Args:
            scores: (B, N); items of the history need not be left out.
            targets: (B,).
            seconds: that the scores took.
            kept: (B, N) scores for a ranking that keeps the history, if they differ.
        """
        seen = encode_history(histories, max(map(len, histories)))
        self._ranks.append(target_ranks(scores, targets, seen))
        self._ranks_kept.append(target_ranks(scores if kept is None else kept, targets))
        self._targets.append(targets)
        self._seconds += seconds

    @property
    def ranks(self) -> NDArray[np.int64]:
        """(users,) rank of each target, seen items removed."""
        return np.concatenate(self._ranks)

    @property
    def ms_per_user(self) -> float:
        """Cost of a ranking, in batches of BATCH."""
        return 1000 * self._seconds / len(self.ranks)

    def figures(self) -> Figures:
        """Recall and NDCG, the same with "seen kept"; share and figures of cold, rare, common targets."""
        kept = ranking_metrics(np.concatenate(self._ranks_kept))
        figures = ranking_metrics(self.ranks)
        figures |= {f"{name} seen kept": value for name, value in kept.items()}
        met = self._popularity[np.concatenate(self._targets)]
        for name, group in {
            "cold": met == 0,
            "rare": met <= RARE,
            "common": met > RARE,
        }.items():
            figures[f"share {name}"] = float(group.mean())
            if group.any():
                found = ranking_metrics(self.ranks[group])
                figures |= {f"{m}@10 {name}": found[f"{m}@10"] for m in ("recall", "ndcg")}
        return figures


def judge(
    score: Callable[[Sequence[Rows]], Array], holdout: Holdout, popularity: NDArray[np.int64]
) -> Judge:
    """Ask all questions, BATCH at a time."""
    judged = Judge(popularity)
    for histories, targets in question_batches(holdout):
        began = time.perf_counter()
        scores = score(histories)
        judged.add(scores, targets, histories, time.perf_counter() - began)
    return judged


def question_batches(
    holdout: Holdout,
) -> Iterator[tuple[list[NDArray[np.int64]], NDArray[np.int64]]]:
    """Histories and targets, BATCH at a time."""
    for begin in range(0, len(holdout.targets), BATCH):
        part = slice(begin, begin + BATCH)
        yield holdout.histories[part], holdout.targets[part]
