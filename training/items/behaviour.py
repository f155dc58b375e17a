"""Item vectors from behaviour: positive pointwise mutual information, factorised.

Source: Levy, Goldberg and Dagan (2015), symmetric eigenvalue weighting.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.utils.extmath import randomized_svd

from model_export.contract.text_vectors import unit_rows
from training.items.cooccurrence import count_transitions


def positive_pmi(counts: csr_array) -> csr_array:
    """max(0, ln(c_ij · c / (c_i · c_j))) of a symmetric co-occurrence table."""
    totals = np.asarray(counts.sum(axis=1)).ravel()
    rows, columns = counts.nonzero()
    expected = totals[rows] * totals[columns] / totals.sum()
    pmi = np.maximum(0, np.log(counts.data / expected))
    table = csr_array((pmi, (rows, columns)), shape=counts.shape)
    table.eliminate_zeros()
    return table


def behaviour_vectors(
    offsets: NDArray[np.integer],
    items: NDArray[np.integer],
    n_items: int,
    *,
    window: int,
    dims: int,
    seed: int,
) -> NDArray[np.float32]:
    """Vectors of unit length from co-occurrence in training histories.

    Args:
        offsets: (users + 1,) user u owns items[offsets[u] : offsets[u + 1]], oldest first.
        items: (interactions,) catalogue rows.
        n_items: rows of the catalogue.
        window: steps within which two items of a user co-occur; a gap of g weighs 1 / g.
        dims: width of the vectors; less where fewer items have co-occurred.
        seed: of the randomized SVD.

    Returns:
        (n_items, dims); zeros for an item that goes with no other more often than chance.
    """
    transitions = count_transitions(offsets, items, n_items, window)
    transitions.setdiag(0)  # of a repeat nothing is learnt about other items
    ppmi = positive_pmi((transitions + transitions.T).tocsr())
    known = np.flatnonzero(np.diff(ppmi.indptr))
    vectors = np.zeros((n_items, max(1, min(dims, len(known)))), dtype=np.float32)
    if len(known):
        left, strengths, _ = randomized_svd(ppmi[known], vectors.shape[1], random_state=seed)
        vectors[known] = unit_rows(left * np.sqrt(strengths))
    return vectors
