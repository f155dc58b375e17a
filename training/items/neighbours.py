"""Evidence tables: each item's strongest followers and its most similar texts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING
from training.items.cells import Rows


def strongest_neighbours(weights: csr_array, width: int) -> NeighbourTable:
    """Each item's `width` strongest neighbours but itself, from weights (items, items)."""
    everything = np.arange(weights.shape[0])
    table = _empty_table(len(everything), width)
    _keep_strongest(table, everything, everything, weights)
    return table


def text_neighbours(
    tfidf: csr_array, blocks: Iterable[tuple[Rows, Rows]], *, width: int = 100
) -> NeighbourTable:
    """The items whose texts are most alike by cosine, the item itself left out.

    Args:
        tfidf: (items, terms) rows of unit length.
        blocks: which rows to compare with which, see `cells.comparisons`.
        width: neighbours kept per item.
    """
    table = _empty_table(tfidf.shape[0], width)
    for rows, others in blocks:
        _keep_strongest(table, rows, others, (tfidf[rows] @ tfidf[others].T).tocsr())
    return table


def _empty_table(n_items: int, width: int) -> NeighbourTable:
    return NeighbourTable(
        np.full((n_items, width), PADDING, dtype=np.int32),
        np.zeros((n_items, width), dtype=np.float32),
    )


def _keep_strongest(table: NeighbourTable, rows: Rows, columns: Rows, weights: csr_array) -> None:
    """Fill the table's `rows` with each row's strongest neighbours but itself.

    Equal weights are ordered by catalogue row.

    Args:
        columns: catalogue rows that the columns of `weights` (rows, columns) stand for.
    """
    width = table.items.shape[1]
    for row, (first, end) in zip(rows, pairwise(weights.indptr), strict=True):
        neighbours, values = columns[weights.indices[first:end]], weights.data[first:end]
        kept = neighbours != row
        if end - first > width + 1:
            kept &= values >= np.partition(values, -width - 1)[-width - 1]
        neighbours, values = neighbours[kept], values[kept]
        strongest = np.lexsort((neighbours, -values))[:width]
        table.items[row, : len(strongest)] = neighbours[strongest]
        table.weights[row, : len(strongest)] = values[strongest]
