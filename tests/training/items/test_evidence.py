from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from model_export.contract.config import EvidenceConfig
from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING
from model_export.contract.scoring import TABLES
from training.items.evidence import Evidence, fit_evidence

# Three users: a b c | b c | a. Item d was never touched; a reads like b, b like c, c like b.
OFFSETS = np.array([0, 3, 5, 6])
ITEMS = np.array([0, 1, 2, 1, 2, 0])
TEXT = NeighbourTable(
    np.array([[1], [2], [1], [PADDING]]), np.array([[0.4], [0.5], [0.5], [0]], np.float32)
)


CONFIG = EvidenceConfig(window=2, wide_window=2, shrink=1.0, neighbours=3, hop=2)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return fit_evidence(OFFSETS, ITEMS, TEXT, CONFIG)


@pytest.fixture(scope="module")
def tables(evidence: Evidence) -> Mapping[str, NeighbourTable]:
    return evidence.tables


def weight(table: NeighbourTable, item: int, neighbour: int) -> float:
    found = table.weights[item][table.items[item] == neighbour]
    return float(found.sum())


def test_there_is_a_table_for_every_kind(tables: Mapping[str, NeighbourTable]) -> None:
    assert set(tables) == set(TABLES)
    assert tables["text"] is TEXT
    for table in tables.values():
        assert len(table.items) == 4
        assert (table.items[3] == PADDING).all()
        assert (np.diff(table.weights, axis=1) <= 0).all()


def test_what_followed_is_divided_by_popularity(tables: Mapping[str, NeighbourTable]) -> None:
    # b then c twice at distance 1; a then c once at distance 2; every item twice
    assert weight(tables["memory"], 1, 2) == pytest.approx(2 / (2 + 1))
    assert weight(tables["memory"], 0, 2) == pytest.approx(0.5 / (2 + 1))
    assert weight(tables["memory"], 2, 1) == 0
    assert weight(tables["reverse"], 2, 1) == pytest.approx(2 / 3)
    assert weight(tables["reverse"], 2, 0) == pytest.approx(0.5 / 3)


def test_long_histories_count_less_together(tables: Mapping[str, NeighbourTable]) -> None:
    shared = 1 / math.sqrt(3) + 1 / math.sqrt(2)
    assert weight(tables["together"], 1, 2) == pytest.approx(shared / 3)
    assert weight(tables["together"], 2, 1) == pytest.approx(shared / 3)


def test_paths_of_two_hops(tables: Mapping[str, NeighbourTable]) -> None:
    b_to_c = 2 / 3
    # a reads like b (0.4), which is followed by c; a path from c by way of b back to c does not count
    assert weight(tables["text_memory"], 0, 2) == pytest.approx(0.4 * b_to_c)
    assert weight(tables["text_memory"], 2, 2) == 0
    # a is followed by b (1/3) and c (0.5/3), which read like c and b
    assert weight(tables["memory_text"], 0, 2) == pytest.approx(1 / 3 * 0.5)
    assert weight(tables["memory_text"], 0, 1) == pytest.approx(0.5 / 3 * 0.5)
    # a, then b, then c
    assert weight(tables["memory_memory"], 0, 2) == pytest.approx(1 / 3 * b_to_c)


def test_an_empty_history_adds_nothing() -> None:
    """Held-out users keep an empty line in the offsets; see stage2_deliberate.others."""
    with_empty = fit_evidence(np.array([0, 3, 3, 5, 6, 6]), ITEMS, TEXT, CONFIG).arrays()
    for name, array in fit_evidence(OFFSETS, ITEMS, TEXT, CONFIG).arrays().items():
        np.testing.assert_array_equal(array, with_empty[name])


def test_bundle_names(evidence: Evidence) -> None:
    arrays = evidence.arrays()
    parts = {f"{name}_{part}" for name in TABLES for part in ("items", "weights")}
    assert set(arrays) == {"popularity", "recent"} | parts
    assert arrays["wide_items"] is evidence.tables["wide"].items


def test_recent_demand_counts_the_newest_of_each_user() -> None:
    offsets, items = np.array([0, 5, 5, 7]), np.array([0, 1, 2, 3, 2, 4, 0])
    nothing_reads_alike = NeighbourTable(np.full((6, 1), PADDING), np.zeros((6, 1), np.float32))
    recent = fit_evidence(offsets, items, nothing_reads_alike, CONFIG).recent
    assert recent.tolist() == [1, 0, 2, 1, 1, 0]
