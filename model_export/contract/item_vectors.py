"""The vector of an item that is quantized: what is written about it beside how people use it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_export.contract.text_vectors import unit_rows


@dataclass(frozen=True)
class VectorJoin:
    """Joins both parts of an item vector, and guesses the behaviour of an item that has none.

    Attributes:
        text_weight: length of the text part.
        behaviour_weight: length of the behaviour part.
        behaviour_from_text: (text dims, behaviour dims) linear map, fitted on items that have both.
    """

    text_weight: float
    behaviour_weight: float
    behaviour_from_text: NDArray[np.float32]

    def __call__(
        self, text: NDArray[np.floating], behaviour: NDArray[np.floating] | None = None
    ) -> NDArray[np.float32]:
        """Item vectors from rows of unit length, or of zeros where a part is unknown.

        Args:
            text: (items, text dims).
            behaviour: (items, behaviour dims); unknown for every item if not given.

        Returns:
            (items, text dims + behaviour dims).
        """
        guess = unit_rows(text @ self.behaviour_from_text)
        if behaviour is None:
            behaviour = guess
        unknown = ~behaviour.any(axis=1, keepdims=True)
        behaviour = np.where(unknown, guess, behaviour)
        return np.concatenate(
            [self.text_weight * text, self.behaviour_weight * behaviour], axis=1, dtype=np.float32
        )
