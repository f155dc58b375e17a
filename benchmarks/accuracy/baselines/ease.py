"""EASE: the linear model that predicts each item from all others, in closed form.

Steck, Embarrassingly Shallow Autoencoders for Sparse Data (2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from benchmarks.accuracy.baselines.base import TooLargeError, decayed
from benchmarks.accuracy.baselines.neighbours import user_items
from model_export.contract.catalog import Catalog
from model_export.contract.history import Rows
from model_export.contract.scoring import Array
from training.data.sequences import Sequences

MAX_ITEMS = 25_000
"""Beyond it the dense (N, N) matrices need more than 5 GB."""


@dataclass
class Ease:
    """Ridge regression with a zero diagonal; when scoring, the newest items weigh most."""

    penalty: float
    decay: float = 1.0

    def fit(self, training: Sequences, catalog: Catalog) -> None:
        """Invert the penalised co-occurrence: B = I − P / diag(P), P = (XᵀX + λI)⁻¹."""
        if len(catalog) > MAX_ITEMS:
            raise TooLargeError(f"EASE holds no more than {MAX_ITEMS:,} items")
        met = user_items(training, len(catalog))
        together = torch.from_numpy((met.T @ met).toarray())
        together.diagonal().add_(self.penalty)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(together))
        weights = inverse.div_(-inverse.diagonal().clone())
        weights.fill_diagonal_(0)
        self._weights = weights.numpy()

    def score(self, histories: Sequence[Rows]) -> Array:
        """(B, N)."""
        scores: Array = decayed(histories, self.decay, len(self._weights)) @ self._weights
        return scores
