"""What every baseline is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from model_export.contract.catalog import Catalog
from model_export.contract.history import Rows
from model_export.contract.scoring import Array
from training.data.sequences import Sequences


class TooLargeError(Exception):
    """The catalogue is beyond what a baseline can hold in memory."""


class Baseline(Protocol):
    """Learns from training histories and the catalogue, then scores every item for a history.

    A dataclass whose fields are its settings, so that its repr tells them.
    """

    def fit(self, training: Sequences, catalog: Catalog) -> None:
        """Learn.

        Raises:
            TooLargeError: the catalogue is beyond what it can hold.
        """
        ...

    def score(self, histories: Sequence[Rows]) -> Array:
        """Scores (B, N) for histories of catalogue rows, oldest first."""
        ...


def decayed(histories: Sequence[Rows], decay: float, n_items: int) -> csr_array:
    """Histories as rows (B, N); an item weighs decay ** age, the newest 1. Repeats add up."""
    lengths = [len(history) for history in histories]
    weights = [decay ** np.arange(length - 1, -1, -1, dtype=np.float32) for length in lengths]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    shape = (len(histories), n_items)
    return csr_array((np.concatenate(weights), np.concatenate(histories), offsets), shape=shape)


def votes(histories: Sequence[Rows], decay: float, weights: csr_array) -> Array:
    """Sum of the weights (N, N) of the items of each history (B, N), older ones decayed."""
    scores: Array = (decayed(histories, decay, weights.shape[0]) @ weights).toarray()
    return scores
