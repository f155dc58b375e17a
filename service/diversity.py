"""Maximal marginal relevance: a good list of items that are not all alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def diversify(
    scores: NDArray[np.floating], vectors: NDArray[np.floating], count: int, diversity: float
) -> NDArray[np.int64]:
    """Pick items one by one, each by its score less its likeness to those picked before.

    Scores are scaled to 0 … 1 over the pool, so that they weigh against cosines.

    Args:
        scores: (pool,) scores, best first.
        vectors: (pool, d) item vectors.
        count: items to pick.
        diversity: 0 keeps the order of the scores, 1 looks at likeness alone.

    Returns:
        (min(count, pool),) places in the pool, in the order picked.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    spread = scores.max() - scores.min() if len(scores) else 0.0
    relevance = (1 - diversity) * (scores - scores.min()) / spread if spread > 0 else 0 * scores
    likeness = np.zeros(len(scores))
    free = np.ones(len(scores), dtype=bool)
    picked: list[int] = []
    for _ in range(min(count, len(scores))):
        best = int(np.argmax(np.where(free, relevance - diversity * likeness, -np.inf)))
        picked.append(best)
        free[best] = False
        likeness = np.maximum(likeness, unit @ unit[best])
    return np.array(picked, dtype=np.int64)
