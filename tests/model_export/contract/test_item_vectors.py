from __future__ import annotations

import numpy as np

from model_export.contract.item_vectors import VectorJoin


def test_unknown_behaviour_is_guessed_from_text_and_parts_are_weighted() -> None:
    swap = np.array([[0, 3], [3, 0]], dtype=np.float32)
    join = VectorJoin(text_weight=2.0, behaviour_weight=0.5, behaviour_from_text=swap)
    text = np.array([[1, 0], [1, 0], [0, 0]])
    behaviour = np.array([[0, 0], [1, 0], [0, 1]])
    expected = [[2, 0, 0, 0.5], [2, 0, 0.5, 0], [0, 0, 0, 0.5]]
    np.testing.assert_allclose(join(text, behaviour), expected)
    np.testing.assert_allclose(join(text[:1]), expected[:1])
