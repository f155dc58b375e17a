"""From an item vector to its codes, coarse to fine."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SemanticID = tuple[int, ...]
BLOCK_ROWS = 8192
"""Vectors that are compared with a codebook at once."""


@dataclass(frozen=True)
class ResidualQuantizer:
    """Codebooks of a residual quantizer: every level quantizes what the levels before left over.

    Attributes:
        codebooks: (levels, codes, dims) float32.
        encoder: weight (inputs, outputs) and bias (outputs,) of each layer of the network that maps
            item vectors to what is quantized, with ReLU between layers.
    """

    codebooks: NDArray[np.float32]
    encoder: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...] = ()

    def encode(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Item vectors (items, …) to the vectors (items, dims) that are quantized."""
        hidden = vectors.astype(np.float32)
        for layer, (weight, bias) in enumerate(self.encoder):
            hidden = (np.maximum(hidden, 0) if layer else hidden) @ weight + bias
        return hidden

    def codes(self, encoded: NDArray[np.float32]) -> NDArray[np.int64]:
        """The nearest codes (items, levels), level by level."""
        codes = np.empty((len(encoded), len(self.codebooks)), dtype=np.int64)
        residuals = encoded
        for level, codebook in enumerate(self.codebooks):
            codes[:, level] = nearest(residuals, codebook)
            residuals = residuals - codebook[codes[:, level]]
        return codes

    def free_id(self, encoded: NDArray[np.float32], taken: Collection[SemanticID]) -> SemanticID:
        """The semantic ID for a new item: its codes, or the nearest ones that no item owns.

        The last level gives way first, then the one before it, and so on.

        Args:
            encoded: (dims,) one vector from `encode`.
            taken: the semantic IDs that are owned already; a set makes this fast.

        Raises:
            ValueError: every semantic ID is taken.
        """
        for semantic_id in self._ids_by_distance(encoded, 0):
            if semantic_id not in taken:
                return semantic_id
        raise ValueError("every semantic ID is taken; train again with more codes per level")

    def _ids_by_distance(self, residual: NDArray[np.float32], level: int) -> Iterator[SemanticID]:
        if level == len(self.codebooks):
            yield ()
            return
        codebook = self.codebooks[level]
        for code in squared_distances(residual[None], codebook)[0].argsort(kind="stable"):
            for finer in self._ids_by_distance(residual - codebook[code], level + 1):
                yield (int(code), *finer)


def squared_distances(
    vectors: NDArray[np.floating], codebook: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Squared Euclidean distances (vectors, codes)."""
    lengths = np.square(vectors).sum(axis=1, keepdims=True)
    distances: NDArray[np.floating] = lengths - 2 * vectors @ codebook.T
    distances += np.square(codebook).sum(axis=1)
    return distances


def nearest(vectors: NDArray[np.floating], codebook: NDArray[np.floating]) -> NDArray[np.int64]:
    """The nearest code of each vector, the first where several are."""
    codes = np.empty(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        codes[rows] = squared_distances(vectors[rows], codebook).argmin(axis=1)
    return codes
