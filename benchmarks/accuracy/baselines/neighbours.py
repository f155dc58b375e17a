"""Neighbours by behaviour: items that share users, and items that follow one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from benchmarks.accuracy.baselines.base import votes
from model_export.contract.catalog import Catalog
from model_export.contract.history import Rows
from model_export.contract.scoring import Array
from training.data.sequences import Sequences
from training.items.cooccurrence import count_transitions


def user_items(training: Sequences, n_items: int) -> csr_array:
    """Which user met which item (users, N), 1 or 0."""
    ones = np.ones(len(training.items), np.float32)
    coordinates = (ones, training.items.copy(), training.offsets)  # scipy sorts them in place
    met = csr_array(coordinates, shape=(len(training), n_items))
    met.sum_duplicates()
    met.data[:] = 1
    return met


def damped(counts: csr_array, popularity: NDArray[np.integer], shrink: float) -> csr_array:
    """Counts i, j (N, N) divided by √(n_i · n_j) + shrink."""
    entries = counts.tocoo()
    row, column = entries.coords
    scale = np.sqrt(popularity[row] * popularity[column]) + shrink
    weights = (entries.data / scale).astype(np.float32)
    return csr_array((weights, (row, column)), shape=counts.shape)


@dataclass
class ItemKnn:
    """Cosine of the users of two items, damped; the newest items of the history weigh most."""

    shrink: float = 20.0
    decay: float = 0.5

    def fit(self, training: Sequences, catalog: Catalog) -> None:
        """Count the users that two items share."""
        met = user_items(training, len(catalog))
        popularity = np.bincount(training.items, minlength=len(catalog))
        shared = (met.T @ met).tocsr()
        shared.setdiag(0)  # no item is its own neighbour
        self._weights = damped(shared, popularity, self.shrink)

    def score(self, histories: Sequence[Rows]) -> Array:
        """(B, N)."""
        return votes(histories, self.decay, self._weights)


@dataclass
class SequenceKnn:
    """What followed what within `window` steps, a gap of g weighing 1 / g, damped."""

    shrink: float = 20.0
    decay: float = 0.5
    window: int = 5

    def fit(self, training: Sequences, catalog: Catalog) -> None:
        """Count transitions."""
        counts = count_transitions(training.offsets, training.items, len(catalog), self.window)
        popularity = np.bincount(training.items, minlength=len(catalog))
        self._weights = damped(counts, popularity, self.shrink)

    def score(self, histories: Sequence[Rows]) -> Array:
        """(B, N)."""
        return votes(histories, self.decay, self._weights)
