from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from model_export.contract.history import PADDING
from training.items.cells import comparisons
from training.items.neighbours import text_neighbours

# Three users, ten interactions: a b c a | b c d | d a b. Item 4 was never touched.
OFFSETS = np.array([0, 4, 7, 10])
ITEMS = np.array([0, 1, 2, 0, 1, 2, 3, 3, 0, 1])


@pytest.fixture
def tfidf() -> csr_array:
    rng = np.random.default_rng(0)
    dense = rng.random((30, 12)) * (rng.random((30, 12)) < 0.3)
    dense[3] = 0
    dense[7] = dense[5]
    lengths = np.linalg.norm(dense, axis=1, keepdims=True)
    return csr_array(dense / np.maximum(lengths, 1e-12))


@pytest.mark.parametrize("block_pairs", [1, 100, 1 << 24])
def test_text_neighbours_equal_brute_force(
    tfidf: csr_array, block_pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.items.cells.BLOCK_PAIRS", block_pairs)
    blocks = comparisons(tfidf.toarray().astype(np.float32), seed=0)
    table = text_neighbours(tfidf, blocks, width=4)
    cosines = (tfidf @ tfidf.T).toarray()
    np.fill_diagonal(cosines, 0)
    strongest = -np.sort(-cosines, axis=1)[:, :4]
    np.testing.assert_allclose(table.weights, strongest, rtol=1e-6)
    for row in range(30):
        found = table.items[row][table.items[row] != PADDING]
        assert row not in found
        np.testing.assert_allclose(cosines[row, found], strongest[row, : len(found)], rtol=1e-6)
    assert table.items[5, 0] == 7
    assert (table.items[3] == PADDING).all()
