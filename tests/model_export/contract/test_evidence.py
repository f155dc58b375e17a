from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.contract.evidence import NeighbourTable, score_candidates
from model_export.contract.history import PADDING, encode_history

N_ITEMS = 6


@st.composite
def tables(draw: st.DrawFn) -> NeighbourTable:
    width = draw(st.integers(1, 4))
    items = np.full((N_ITEMS, width), PADDING, dtype=np.int32)
    weights = np.zeros((N_ITEMS, width), dtype=np.float32)
    row = st.lists(
        st.tuples(st.integers(0, N_ITEMS - 1), st.floats(0.125, 4, width=32)),
        max_size=width,
        unique_by=lambda entry: entry[0],
    )
    for line in range(N_ITEMS):
        for slot, (item, weight) in enumerate(draw(row)):
            items[line, slot], weights[line, slot] = item, weight
    return NeighbourTable(items, weights)


@given(
    tables(),
    st.lists(st.lists(st.integers(0, N_ITEMS - 1), max_size=5), min_size=1, max_size=4),
    st.sampled_from([0.25, 0.5, 1.0]),
)
def test_score_equals_a_naive_loop(
    table: NeighbourTable, users: list[list[int]], decay: float
) -> None:
    expected = np.zeros((len(users), N_ITEMS))
    for user, history in enumerate(users):
        for age, row in enumerate(reversed(history)):
            for item, weight in zip(table.items[row], table.weights[row], strict=True):
                if item != PADDING:
                    expected[user, item] += weight * decay**age
    scores = table.score(encode_history(users, max_history=5), decay)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_scores_of_candidates_are_those_of_the_whole_catalogue() -> None:
    rng = np.random.default_rng(3)
    items = np.stack([rng.permutation(30)[:6] for _ in range(30)])
    items[4, 3:] = PADDING
    weights = np.where(items == PADDING, 0, rng.random(items.shape)).astype(np.float32)
    table = NeighbourTable(items, weights)
    histories = np.array([[PADDING, 3, 4, 5], [4, 4, 9, 29]])
    candidates = np.stack([rng.permutation(30)[:8] for _ in range(2)])
    few = score_candidates([table, table], histories, (1.0, 0.5, 0.0), candidates)[..., 1, :]
    for number, decay in enumerate((1.0, 0.5, 0.0)):
        everything = table.score(histories, decay)
        np.testing.assert_allclose(
            few[..., number], np.take_along_axis(everything, candidates, 1), rtol=1e-5, atol=1e-7
        )


def test_links_are_the_weights_between_sources_and_rows() -> None:
    table = NeighbourTable(
        np.array([[1, 2], [2, PADDING], [PADDING, PADDING]]),
        np.array([[0.5, 0.25], [0.75, 0], [0, 0]], np.float32),
    )
    links = table.links(np.array([0, 1, 2]), np.array([2, 0]))
    assert sorted(links) == [(0, 0, 0.25), (0, 1, 0.75)]


def test_what_one_history_reaches_leaves_no_trace_in_the_next() -> None:
    table = NeighbourTable(np.array([[1], [2], [0]]), np.ones((3, 1), np.float32))
    for _ in range(2):
        assert table.score(np.array([[0], [1]]), 1.0).tolist() == [[0, 1, 0], [0, 0, 1]]


def test_a_fault_leaves_nothing_behind_for_the_next_call() -> None:
    table = NeighbourTable(np.array([[1], [2], [0]]), np.ones((3, 1), np.float32))
    sources, rows = np.array([0, 1]), np.array([1])
    expected = [*table.links(sources, rows)]
    for wrong in (np.array([7]), np.array([0.5])):
        with pytest.raises(IndexError):
            table.links(wrong, np.array([0, 2]))
        with pytest.raises(IndexError):
            score_candidates([table], np.array([wrong]), (1.0,), np.array([[0, 2]]))
    assert [*table.links(sources, rows)] == expected == [(0, 0, 1.0)]
