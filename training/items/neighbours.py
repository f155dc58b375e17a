"""Evidence tables: each item's strongest followers and its most similar texts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING
from training.items.cooccurrence import count_transitions

BLOCK_ENTRIES = 1 << 24
"""Similarities that are held at once."""


def transition_memory(
    offsets: NDArray[np.integer],
    items: NDArray[np.integer],
    n_items: int,
    *,
    window: int = 5,
    shrink: float = 100.0,
    width: int = 100,
) -> NeighbourTable:
    """What follows what: transitions i → j divided by √(n_i · n_j) + shrink.

    Args:
        offsets: (users + 1,) user u owns items[offsets[u] : offsets[u + 1]], oldest first.
        items: (interactions,) catalogue rows.
        n_items: rows of the catalogue.
        window: largest gap of a transition; a gap of g weighs 1 / g.
        shrink: pulls the weights of rare items down.
        width: followers kept per item.
    """
    transitions = count_transitions(offsets, items, n_items, window)
    popularity = np.bincount(items, minlength=n_items)
    before, after = transitions.nonzero()
    transitions.data /= np.sqrt(popularity[before] * popularity[after]) + shrink
    return strongest_neighbours(transitions, width)


def strongest_neighbours(weights: csr_array, width: int) -> NeighbourTable:
    """Each item's `width` strongest neighbours but itself, from weights (items, items)."""
    table = _empty_table(weights.shape[0], width)
    _keep_strongest(table, 0, weights)
    return table


def text_neighbours(tfidf: csr_array, *, width: int = 100) -> NeighbourTable:
    """The items whose texts are most alike by cosine, the item itself left out.

    Args:
        tfidf: (items, terms) rows of unit length.
        width: neighbours kept per item.
    """
    n_items = tfidf.shape[0]
    table = _empty_table(n_items, width)
    by_term = tfidf.T.tocsr()
    block = max(1, BLOCK_ENTRIES // n_items)
    for start in range(0, n_items, block):
        _keep_strongest(table, start, tfidf[start : start + block] @ by_term)
    return table


def _empty_table(n_items: int, width: int) -> NeighbourTable:
    return NeighbourTable(
        np.full((n_items, width), PADDING, dtype=np.int32),
        np.zeros((n_items, width), dtype=np.float32),
    )


def _keep_strongest(table: NeighbourTable, start: int, weights: csr_array) -> None:
    """Fill the table's rows from `start` on with each row's strongest neighbours but itself.

    Equal weights are ordered by catalogue row.
    """
    width = table.items.shape[1]
    for row, (first, end) in enumerate(pairwise(weights.indptr), start):
        neighbours, values = weights.indices[first:end], weights.data[first:end]
        kept = neighbours != row
        if end - first > width + 1:
            kept &= values >= np.partition(values, -width - 1)[-width - 1]
        neighbours, values = neighbours[kept], values[kept]
        strongest = np.lexsort((neighbours, -values))[:width]
        table.items[row, : len(strongest)] = neighbours[strongest]
        table.weights[row, : len(strongest)] = values[strongest]
