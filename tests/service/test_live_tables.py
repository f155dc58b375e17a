"""Tables that are added to while others read them."""

from __future__ import annotations

import numpy as np

from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING
from service.live.tables import GrowingRows, TableEditor

BASE = NeighbourTable(
    np.array([[1, 2], [2, PADDING], [PADDING, PADDING]], dtype=np.int32),
    np.array([[0.5, 0.2], [0.4, 0.0], [0.0, 0.0]], dtype=np.float32),
)


def scores(table: NeighbourTable, row: int) -> list[float]:
    return [round(float(score), 3) for score in table.score(np.array([[row]]), 1.0)[0]]


def test_rows_are_added_without_changing_what_was_seen_before() -> None:
    rows = GrowingRows(np.zeros((2, 3)))
    before = rows.view
    for number in range(2_000):
        rows.append(np.full(3, number))
    assert before.shape == (2, 3)
    assert rows.view.shape == (2_002, 3)
    assert (rows.view[2:, 0] == np.arange(2_000)).all()


def test_an_edited_table_leaves_the_earlier_ones_as_they_were() -> None:
    editor = TableEditor(BASE)
    untouched = editor.freeze()
    editor.grow()
    editor.insert(0, 3, 0.3)
    edited = editor.freeze()
    editor.put(3, np.array([0]), np.array([0.9]))
    assert scores(untouched, 0) == [0, 0.5, 0.2]
    assert scores(edited, 0) == [0, 0.5, 0, 0.3]  # the weakest made way
    assert scores(edited, 3) == [0, 0, 0, 0]
    assert scores(editor.freeze(), 3) == [0.9, 0, 0, 0]
    assert (BASE.items[0] == [1, 2]).all()


def test_a_neighbour_has_one_weight() -> None:
    editor = TableEditor(BASE)
    editor.insert(0, 2, 0.8)
    assert [part.tolist() for part in editor.row(0)] == [[2, 1], [np.float32(0.8), 0.5]]
    assert editor.original(0)[0].tolist() == [1, 2]
    np.testing.assert_allclose(editor.weakest(), [0.5, 0, 0])


def test_outdated_rows_are_dropped() -> None:
    editor = TableEditor(BASE)
    for number in range(5_000):
        editor.insert(0, 2, number + 1.0)
        editor.freeze()
    assert editor.freeze().items.patches.shape[0] < 2_000  # type: ignore[attr-defined]
    assert scores(editor.freeze(), 0) == [0, 0.5, 5_000]
