"""Which items of a large catalogue meet."""

from __future__ import annotations

import numpy as np
import pytest

from model_export.contract.text_vectors import unit_rows
from training.items import cells
from training.items.catalog_items import most_similar
from training.items.cells import comparisons


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything above 500 items counts as large."""
    monkeypatch.setattr(cells, "EXACT_ITEMS", 500)
    monkeypatch.setattr(cells, "ITEMS_PER_CELL", 50)
    monkeypatch.setattr(cells, "MEETS", 400)


def kin(families: int, size: int) -> np.ndarray:
    """Unit vectors (families · size, 16), those of a family close to each other."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(families, 16))
    return unit_rows(np.repeat(centres, size, 0) + 0.2 * rng.normal(size=(families * size, 16)))


@pytest.mark.usefixtures("large")
def test_every_row_is_in_one_block_and_meets_a_bounded_number_of_others() -> None:
    blocks = list(comparisons(kin(100, 20), seed=0))
    rows = np.concatenate([rows for rows, _ in blocks])
    assert np.array_equal(np.sort(rows), np.arange(2000))
    for rows, others in blocks:
        assert len(others) == 400
        assert (np.diff(others) > 0).all()
        assert np.isin(rows, others).all()


@pytest.mark.usefixtures("large")
def test_nearest_items_are_found_in_neighbouring_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = kin(100, 20)
    found = most_similar(vectors, 10, seed=0)
    monkeypatch.setattr(cells, "EXACT_ITEMS", len(vectors))
    exact = most_similar(vectors, 10, seed=0)
    shared = [len(set(a) & set(b)) for a, b in zip(found, exact, strict=True)]
    assert np.mean(shared) > 9.5


@pytest.mark.usefixtures("large")
def test_equal_vectors_fill_a_cell_and_still_meet_no_more_than_others() -> None:
    vectors = np.concatenate([kin(20, 20), np.zeros((1000, 16), np.float32)])
    blocks = list(comparisons(vectors, seed=0))
    assert sum(len(rows) for rows, _ in blocks) == len(vectors)
    assert max(len(others) for _, others in blocks) == 400
