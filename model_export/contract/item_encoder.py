"""How the network sees an item that nobody has used yet: by its text alone, in numpy.

The network's item vector is LN(W · text + free), where `free` is what use has taught of the item: zero for
a new one. The encoder's input adds the embeddings of its codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from model_export.contract.text_vectors import unit_rows

TEXT_SCALE = 0.25
"""Root mean square of the entries of a text vector, which are the network's input."""
_EPSILON = 1e-5

Array = NDArray[np.float32]


@dataclass(frozen=True)
class ItemEncoder:
    """What training fitted of d-wide item vectors.

    Attributes:
        projection: (D, d) W, transposed.
        norm: (2, d) weight and bias of the layer norm of item vectors.
        input_norm: (2, d) weight and bias of the layer norm of encoder inputs.
        code_embeddings: (T, d) embedding of each code token.
    """

    projection: Array
    norm: Array
    input_norm: Array
    code_embeddings: Array

    def vectors(self, texts: Array) -> Array:
        """Item vectors (N, d), not yet of unit length, of scaled text vectors (N, D)."""
        return _layer_norm(texts @ self.projection, self.norm)

    def targets(self, texts: Array) -> Array:
        """Unit vectors (N, d) that states are compared with."""
        return unit_rows(self.vectors(texts))

    def inputs(self, texts: Array, tokens: NDArray[np.integer]) -> Array:
        """Encoder inputs (N, d) of scaled text vectors (N, D) and code tokens (N, levels)."""
        codes = self.code_embeddings[tokens].sum(1)
        return _layer_norm(self.vectors(texts) + codes, self.input_norm)

    def tables(self) -> dict[str, Array]:
        """The arrays under the names that a bundle gives them."""
        return {f"item_encoder_{part.name}": getattr(self, part.name) for part in fields(self)}

    @classmethod
    def of(cls, tables: Mapping[str, Array]) -> ItemEncoder:
        """From the arrays of `tables`."""
        return cls(**{part.name: tables[f"item_encoder_{part.name}"] for part in fields(cls)})


def scaled_texts(unit: Array) -> Array:
    """Text vectors (N, D) as the network reads them, from rows of unit length."""
    scaled: Array = unit * np.float32(TEXT_SCALE * unit.shape[1] ** 0.5)
    return scaled


def _layer_norm(x: Array, weight_and_bias: Array) -> Array:
    weight, bias = weight_and_bias
    centred = x - x.mean(1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(1, keepdims=True) + _EPSILON)
    normed: Array = centred / spread * weight + bias
    return normed
