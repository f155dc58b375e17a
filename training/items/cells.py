"""Which items to compare with which: all pairs of a small catalogue, neighbouring cells of a large one.

An inverted file: the vectors are clustered in cells, and the items of a cell meet only those of the
cells around it. The work then grows with N · MEETS instead of N².
Source: Sivic and Zisserman (2003); Jégou, Douze and Schmid (2011).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from model_export.contract.quantize import nearest, squared_distances

EXACT_ITEMS = 50_000
"""Up to so many items all pairs are compared."""
ITEMS_PER_CELL = 1000
MEETS = 10_000
"""Items of the nearest cells that an item of a larger catalogue is compared with."""
BLOCK_PAIRS = 1 << 24
"""Pairs that are compared at once."""

Rows = NDArray[np.int64]


def comparisons(vectors: NDArray[np.float32], seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Blocks of rows, each with the ascending rows to compare them with.

    Every row of `vectors` (N, dims) is in one block; it is itself among the others, unless a cell
    holds more than MEETS items.
    """
    everything = np.arange(len(vectors))
    if len(vectors) <= EXACT_ITEMS:
        yield from _blocks(everything, everything)
        return
    centres = fit_centres(vectors, len(vectors) // ITEMS_PER_CELL, seed)
    cell = nearest(vectors, centres)
    members = np.split(np.argsort(cell, kind="stable"), np.bincount(cell).cumsum()[:-1])
    members += [everything[:0]] * (len(centres) - len(members))
    for here, around in enumerate(squared_distances(centres, centres).argsort(1, kind="stable")):
        if len(members[here]):
            others = np.sort(_first([members[cell] for cell in around]))
            yield from _blocks(members[here], others)


def fit_centres(vectors: NDArray[np.float32], clusters: int, seed: int) -> NDArray[np.float32]:
    """Centres (clusters, dims) of the cells, the same ones for the same seed."""
    clustering = MiniBatchKMeans(
        clusters, batch_size=8 * clusters, n_init=1, max_iter=5, random_state=seed
    )
    with threadpool_limits(1):  # as in kmeans.py
        centres: NDArray[np.float32] = clustering.fit(vectors).cluster_centers_
    return centres


def _first(cells: list[Rows]) -> Rows:
    """MEETS items of the first cells."""
    enough = int(np.searchsorted(np.cumsum([len(cell) for cell in cells]), MEETS)) + 1
    return np.concatenate(cells[:enough])[:MEETS]


def _blocks(rows: Rows, others: Rows) -> Iterator[tuple[Rows, Rows]]:
    height = max(1, BLOCK_PAIRS // len(others))
    for begin in range(0, len(rows), height):
        yield rows[begin : begin + height], others
