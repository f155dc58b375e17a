"""The index over a large catalogue: what it finds, and what it is built of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model_export.contract import scoring
from model_export.contract.config import InferenceConfig
from model_export.contract.inverted_file import InvertedFile
from model_export.contract.text_vectors import unit_rows
from model_export.indexing import build_index, indexed
from model_export.verify import index_recall
from tests.model_export.contract.test_reasoning import loop, new_deliberator, tables, through_index
from tests.training import tiny


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """5,000 unit vectors in 250 families of 20, whose members are close to each other."""
    rng = np.random.default_rng(0)
    families = np.repeat(rng.normal(size=(250, 16)), 20, 0)
    return unit_rows(rng.permutation(families + 0.3 * rng.normal(size=families.shape)))


def states(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 16)).astype(np.float32)


def recall(index: InvertedFile, vectors: np.ndarray) -> float:
    """Share of the ten best items of a state that the index finds."""
    found = []
    for state in states(200):
        best = np.argsort(-(vectors @ state))[:10]
        found.append(np.isin(best, index.near(state, index.reach)[0]).mean())
    return float(np.mean(found))


def test_a_tenth_of_the_items_holds_nearly_all_of_the_best(vectors: np.ndarray) -> None:
    assert recall(build_index(vectors, 500, seed=0), vectors) > 0.9
    assert recall(build_index(vectors, 1500, seed=0), vectors) > 0.99


def test_items_come_once_with_their_logits_from_whole_cells(vectors: np.ndarray) -> None:
    index = build_index(vectors, 300, seed=0)
    largest = np.diff(index.starts).max()
    for state in states(20):
        rows, logits = index.near(state, index.reach)
        assert len(np.unique(rows)) == len(rows)
        assert 300 <= len(rows) < 300 + largest
        np.testing.assert_allclose(logits, vectors[rows] @ state, rtol=1e-4, atol=1e-4)


def test_cells_are_read_in_the_order_of_their_mean_logit(vectors: np.ndarray) -> None:
    index = build_index(vectors, 1, seed=0)
    cells = np.split(index.rows, index.starts[1:-1])
    for state in states(20):
        means = [(vectors[cell] @ state).mean() if len(cell) else -np.inf for cell in cells]
        nearest = set(index.near(state, index.reach)[0].tolist())
        assert set(cells[int(np.argmax(means))].tolist()) <= nearest


def test_reaching_everything_is_everything(vectors: np.ndarray) -> None:
    for reach in (len(vectors), 10 * len(vectors)):
        rows, _ = build_index(vectors, 1, seed=0).near(states(1)[0], reach)
        np.testing.assert_array_equal(np.sort(rows), np.arange(len(vectors)))


def test_equal_vectors_are_all_found() -> None:
    """They leave most cells empty."""
    equal = np.ones((200, 16), np.float32)
    assert len(build_index(equal, 1, seed=0).near(equal[0], 200)[0]) == 200


def test_the_same_seed_makes_the_same_index(vectors: np.ndarray) -> None:
    one, other = (build_index(vectors, 300, seed=3).arrays() for _ in range(2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


def test_only_a_large_catalogue_has_an_index() -> None:
    items = tables(tiny.network())
    at_most = InferenceConfig(exact_items=tiny.N_ITEMS)
    assert indexed(items, at_most, seed=0) is items
    index = indexed(items, InferenceConfig(exact_items=tiny.N_ITEMS - 1), seed=0).index
    assert index
    assert len(index) == tiny.N_ITEMS


def test_recall_is_the_share_of_the_exact_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "IN_DEMAND", 1)
    whole = loop(tiny.network(), new_deliberator())
    histories = tiny.histories(3, 1, 9, 6, 2)
    assert index_recall(whole, whole, histories) == 1
    assert index_recall(whole, through_index(whole, reach=tiny.N_ITEMS), histories) == 1
    index = through_index(whole, reach=4).tables.index
    assert index
    misled = whole.reading(replace(index, centres=-index.centres))
    assert 0 < index_recall(whole, misled, histories) < 0.9
