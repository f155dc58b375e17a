"""Fits how text and behaviour join into the vector that is quantized."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model_export.contract.item_vectors import VectorJoin

RIDGE = 1.0
"""Strength of the L2 penalty on the map from text to behaviour."""


def fit_join(
    text: NDArray[np.float32],
    behaviour: NDArray[np.float32],
    *,
    text_weight: float,
    behaviour_weight: float,
) -> VectorJoin:
    """Ridge regression from text to behaviour over the items that have both.

    It puts an item without interactions beside its kin. A weight of 0 leaves that part out.

    Args:
        text: (items, text dims) rows of unit length or zeros.
        behaviour: (items, behaviour dims) rows of unit length or zeros.
        text_weight: length of the text part.
        behaviour_weight: length of the behaviour part.
    """
    both = text.any(axis=1) & behaviour.any(axis=1)
    known = text[both].astype(np.float64)
    penalised = known.T @ known + RIDGE * np.eye(text.shape[1])
    behaviour_from_text = np.linalg.solve(penalised, known.T @ behaviour[both])
    return VectorJoin(text_weight, behaviour_weight, behaviour_from_text.astype(np.float32))
