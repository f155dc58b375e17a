"""The same ranking for everybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_export.contract.catalog import Catalog
from model_export.contract.history import Rows
from model_export.contract.scoring import Array
from training.data.sequences import Sequences


@dataclass
class Popularity:
    """Training interactions of each item."""

    def fit(self, training: Sequences, catalog: Catalog) -> None:
        """Count."""
        self._counts = np.bincount(training.items, minlength=len(catalog)).astype(np.float32)

    def score(self, histories: Sequence[Rows]) -> Array:
        """(B, N), every line the same."""
        return np.tile(self._counts, (len(histories), 1))
