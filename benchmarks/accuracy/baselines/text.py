"""Neighbours by text, alone and together with the memory of transitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from benchmarks.accuracy.baselines.base import votes
from benchmarks.accuracy.baselines.neighbours import SequenceKnn
from model_export.contract.catalog import Catalog
from model_export.contract.history import PADDING, Rows
from model_export.contract.scoring import Array
from training.data.sequences import Sequences
from training.items.cells import comparisons
from training.items.neighbours import text_neighbours
from training.items.text import fit_text_encoder, tfidf_matrix


@dataclass
class TextKnn:
    """Cosine of TF-IDF rows; each item of the history votes for its `neighbours` most alike."""

    decay: float = 0.5
    neighbours: int = 30

    def fit(self, training: Sequences, catalog: Catalog) -> None:  # noqa: ARG002
        """Find the neighbours; the histories do not matter."""
        texts = [item.text for item in catalog]
        encoder = fit_text_encoder(texts, dims=64, seed=0)
        sparse = encoder.tfidf(texts)
        tfidf = tfidf_matrix(sparse, len(encoder.vocabulary))
        blocks = comparisons(encoder.project(sparse), seed=0)
        table = text_neighbours(tfidf, blocks, width=self.neighbours)
        known = table.items != PADDING
        row = np.repeat(np.arange(len(catalog)), known.sum(1))
        shape = (len(catalog), len(catalog))
        self._weights = csr_array((table.weights[known], (row, table.items[known])), shape=shape)

    def score(self, histories: Sequence[Rows]) -> Array:
        """(B, N)."""
        return votes(histories, self.decay, self._weights)


@dataclass
class MemoryAndText:
    """Sequence-kNN + delta × text kNN: nothing is trained, yet it is hard to beat."""

    delta: float = 0.03
    shrink: float = 100.0
    decay: float = 0.5

    def fit(self, training: Sequences, catalog: Catalog) -> None:
        """Fit both parts."""
        self._memory = SequenceKnn(self.shrink)
        self._text = TextKnn()
        self._memory.fit(training, catalog)
        self._text.fit(training, catalog)

    def score(self, histories: Sequence[Rows]) -> Array:
        """(B, N)."""
        self._memory.decay = self._text.decay = self.decay
        return self._memory.score(histories) + np.float32(self.delta) * self._text.score(histories)
