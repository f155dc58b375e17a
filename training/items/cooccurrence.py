"""Which item is followed by which, counted over histories."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


def count_transitions(
    offsets: NDArray[np.integer],
    items: NDArray[np.integer],
    n_items: int,
    window: int,
    fading: float = 1.0,
) -> csr_array:
    """Directed co-occurrence: every pair of one user at most `window` steps apart counts.

    Args:
        offsets: (users + 1,) user u owns items[offsets[u] : offsets[u + 1]], oldest first.
        items: (interactions,) catalogue rows.
        n_items: rows of the catalogue.
        window: largest gap that counts.
        fading: a pair `gap` steps apart counts gap ** -fading.

    Returns:
        (n_items, n_items) float64; entry i, j sums the counts over all i before j, of which i, i says
        how often people come back to i.
    """
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    counts = csr_array((n_items, n_items), dtype=np.float64)
    for gap in range(1, window + 1):
        before, after = items[:-gap], items[gap:]
        counted = users[gap:] == users[:-gap]
        pairs = before[counted], after[counted]
        counts += csr_array((np.full(len(pairs[0]), gap**-fading), pairs), shape=counts.shape)
    return counts
