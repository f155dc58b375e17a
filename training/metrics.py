"""Ranking metrics over the whole catalogue, one relevant item per user."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model_export.contract.history import PADDING

CUTOFFS = (5, 10)


def target_ranks(
    scores: NDArray[np.floating],
    targets: NDArray[np.integer],
    seen: NDArray[np.integer] | None = None,
) -> NDArray[np.int64]:
    """Rank of each target, 1 the best; ties count against the model. 0: the target was not ranked.

    Args:
        scores: (users, items).
        targets: (users,) rows.
        seen: (users, positions) rows to take out of the ranking, padded with PADDING; a target among
            them is out as well.
    """
    users = np.arange(len(targets))
    own = scores[users, targets][:, None]
    ranks = (scores >= own).sum(1)
    if seen is not None:
        for user, history in enumerate(seen):
            rows = np.unique(history[history != PADDING])
            ranks[user] -= (scores[user, rows] >= own[user]).sum()
        ranks[(seen == targets[:, None]).any(1)] = 0
    return ranks.astype(np.int64)


def ranking_metrics(ranks: NDArray[np.integer]) -> dict[str, float]:
    """Recall@k and NDCG@k, averaged over users, of whom those of rank 0 are misses."""
    metrics = {}
    for k in CUTOFFS:
        metrics[f"recall@{k}"] = float(user_recall(ranks, k).mean())
        metrics[f"ndcg@{k}"] = float(user_ndcg(ranks, k).mean())
    return metrics


def user_recall(ranks: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Recall@k of each user, 1 or 0."""
    return ((ranks > 0) & (ranks <= k)).astype(np.float64)


def user_ndcg(ranks: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """NDCG@k of each user."""
    gain: NDArray[np.float64] = user_recall(ranks, k) / np.log2(1 + np.maximum(ranks, 1))
    return gain
