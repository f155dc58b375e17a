from __future__ import annotations

import numpy as np

from model_export.contract.text_vectors import unit_rows
from training.items.vectors import fit_join


def test_a_new_item_lands_beside_its_kin() -> None:
    rng = np.random.default_rng(0)
    kind = np.arange(200) % 4
    text = unit_rows(np.eye(8)[kind] + 0.1 * rng.normal(size=(200, 8)))
    behaviour = unit_rows(np.eye(4)[(kind + 1) % 4] + 0.1 * rng.normal(size=(200, 4)))
    behaviour[:20] = 0
    join = fit_join(text, behaviour, text_weight=1.0, behaviour_weight=1.0)
    vectors = join(text, behaviour)
    nearest = 20 + (vectors[:20] @ vectors[20:].T).argmax(axis=1)
    np.testing.assert_array_equal(kind[nearest], kind[:20])
    np.testing.assert_allclose(join(text[:20]), vectors[:20], rtol=1e-6)


def test_a_weight_of_zero_leaves_a_part_out() -> None:
    text = np.eye(3, dtype=np.float32)
    behaviour = np.eye(3, 2, dtype=np.float32)
    vectors = fit_join(text, behaviour, text_weight=1.0, behaviour_weight=0.0)(text, behaviour)
    np.testing.assert_array_equal(vectors, np.eye(3, 5))
