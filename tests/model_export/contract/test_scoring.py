from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING
from model_export.contract.scoring import (
    DECAYS,
    EVIDENCE,
    EXCLUDED,
    FEATURES,
    FLOOR,
    TABLES,
    UNITS,
    Scorer,
    as_evidence,
    place_candidates,
    relative,
    relative_to_best,
)

# Item 0 leads to 1 (0.04) and 2 (0.01), item 1 to 2 (0.03); items 3 and 4 lead nowhere.
TABLE = NeighbourTable(
    np.array([[1, 2], [2, PADDING], *[[PADDING, PADDING]] * 3]),
    np.array([[0.04, 0.01], [0.03, 0.0], *[[0.0, 0.0]] * 3], np.float32),
)
POPULARITY = np.array([9, 0, 1, 3, 7])
RECENT = np.array([0, 0, 1, 2, 5])
HISTORIES = np.array([[PADDING, 0], [0, 1]])


def scorer(**weights: float) -> Scorer:
    named = {name.replace("_at_", "@0."): weight for name, weight in weights.items()}
    return Scorer(dict.fromkeys(TABLES, TABLE), POPULARITY, RECENT, named)


def test_evidence_grows_ever_more_slowly() -> None:
    np.testing.assert_allclose(
        as_evidence(np.float32([0, 0.01, 0.03]), "memory"), np.log([1, 2, 4])
    )
    np.testing.assert_allclose(as_evidence(np.float32([0.1]), "text"), np.log([2]), rtol=1e-6)
    assert set(UNITS) == {*EVIDENCE, "beam"}


def test_evidence_by_hand() -> None:
    found = scorer().evidence(HISTORIES, "memory@0.8")
    after_both = [0, 0.8 * 0.04, 0.8 * 0.01 + 0.03, 0, 0]
    expected = np.log1p(np.array([[0, 0.04, 0.01, 0, 0], after_both]) / 0.01)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_repeat_leads_to_itself() -> None:
    found = scorer().evidence(np.array([[3, 0, 3]]), "repeat@0.8")
    np.testing.assert_allclose(
        found, [np.log1p(np.array([0.8, 0, 0, 0.8**2 + 1, 0]) / 0.01)], rtol=1e-5
    )
    mixed = scorer(repeat_at_8=-1.0).plain_mix(np.array([[3, 0, 3]]))
    np.testing.assert_allclose(mixed, -found, rtol=1e-5)


def test_repeats_are_not_looked_up_for_a_request_that_cannot_use_them() -> None:
    mixed = scorer(repeat_at_8=1.0, memory_at_8=1.0)
    both, followers = (
        [[rows.tolist() for rows, _ in own] for own in mixed.reached(HISTORIES, repeats=repeats)]
        for repeats in ([True, True], [True, False])
    )
    assert followers == [both[0], both[1][1:]]
    assert both[1][0] == [0, 1]


def test_no_decay_is_the_newest_item_alone() -> None:
    found = scorer().evidence(HISTORIES, "memory@0.0")
    np.testing.assert_allclose(found[1], np.log1p(np.array([0, 0, 0.03, 0, 0]) / 0.01), rtol=1e-5)


def test_the_mix_adds_weighted_evidence_and_demand() -> None:
    mixed = scorer(
        memory_at_8=2.0, wide_at_4=0.5, popularity=0.1, recent=0.3, state=9.0, text_at_8=0.0
    )
    expected = (
        2 * mixed.evidence(HISTORIES, "memory@0.8")
        + 0.5 * mixed.evidence(HISTORIES, "wide@0.4")
        + 0.1 * np.log1p(POPULARITY)
        + 0.3 * np.log1p(RECENT)
    )
    found = mixed.plain_mix(HISTORIES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_gap_among_the_neighbours_takes_nothing_from_the_last_item() -> None:
    last = NeighbourTable(
        np.array([[2, PADDING], [PADDING, PADDING], [PADDING, PADDING]]),
        np.array([[0.04, 0.0], [0.0, 0.0], [0.0, 0.0]], np.float32),
    )
    three = Scorer(dict.fromkeys(TABLES, last), POPULARITY[:3], RECENT[:3], {"text@0.8": 1.0})
    histories = np.array([[0, 1]])
    found = three.plain_mix(histories)
    np.testing.assert_allclose(found, three.evidence(histories, "text@0.8"))
    assert found[0].argmax() == 2


def test_several_decays_of_a_table_add_up() -> None:
    both = scorer(wide_at_8=0.5, wide_at_4=2.0)
    np.testing.assert_allclose(
        both.plain_mix(HISTORIES),
        0.5 * both.evidence(HISTORIES, "wide@0.8") + 2 * both.evidence(HISTORIES, "wide@0.4"),
        rtol=1e-5,
    )


def test_nothing_to_weigh_is_zero() -> None:
    assert scorer(state=1.0).plain_mix(HISTORIES).tolist() == [[0] * 5] * 2


def test_candidates_are_the_best_in_order() -> None:
    mix = np.float32([[1, 5, 3, 2, 4], [0, EXCLUDED, 2, EXCLUDED, 1]])
    assert scorer().candidates(mix, 3).tolist() == [[1, 4, 2], [2, 4, 0]]
    assert scorer().candidates(mix, 99)[0].tolist() == [1, 4, 2, 3, 0]


def test_features_by_hand() -> None:
    logits = np.float32([[1, 2, 3, 4, 5], [50, 4, 3, 2, 1]])
    mix = np.float32([[0, 3, 1, -2, EXCLUDED], [0, 1, 2, 3, 4]])
    candidates = np.array([[1, 2, 4], [4, 3, 0]])
    best = relative_to_best(logits, candidates), relative_to_best(mix, candidates)
    found = scorer().features(candidates, *best, HISTORIES)
    assert found.shape == (2, 3, len(FEATURES))
    columns = dict(zip(FEATURES, np.moveaxis(found, 2, 0), strict=True))
    np.testing.assert_allclose(columns["state"], [[-3, -2, 0], [FLOOR, FLOOR, 0]])
    np.testing.assert_allclose(columns["mix"], [[0, -2, FLOOR], [0, -1, -4]])
    np.testing.assert_allclose(columns["popularity"], np.log1p(POPULARITY[candidates]), rtol=1e-6)
    np.testing.assert_allclose(columns["recent"], np.log1p(RECENT[candidates]), rtol=1e-6)
    np.testing.assert_allclose(columns["rank"], np.log([[1, 2, 3], [1, 2, 3]]), rtol=1e-6)
    np.testing.assert_allclose(columns["length"], [[0] * 3, [math.log(2)] * 3], rtol=1e-6)


items = st.integers(0, 7)


@given(
    st.lists(st.lists(items, min_size=3, max_size=3, unique=True), min_size=8, max_size=8),
    st.lists(st.lists(items | st.just(PADDING), min_size=4, max_size=4), min_size=1, max_size=3),
    st.permutations(range(8)),
)
def test_evidence_of_candidates_is_that_of_all_items(
    neighbours: list[list[int]], histories: list[list[int]], order: list[int]
) -> None:
    weights = np.random.default_rng(0).random((8, 3), dtype=np.float32)
    table = NeighbourTable(np.array(neighbours), weights)
    all_kinds = Scorer(dict.fromkeys(TABLES, table), np.ones(8, int), np.ones(8, int), {})
    rows = np.array(histories)
    candidates = np.tile(order[:5], (len(rows), 1))
    nothing = np.zeros(candidates.shape, np.float32)
    features = all_kinds.features(candidates, nothing, nothing, rows)
    for column, name in enumerate(FEATURES[: len(EVIDENCE) * len(DECAYS)]):
        expected = all_kinds.evidence(rows, name)[:, order[:5]]
        np.testing.assert_allclose(features[..., column], expected, rtol=1e-4, atol=1e-6)


def test_relative_to_the_best() -> None:
    assert relative(np.float32([[1, 4, 2], [0, 0, -1]])).tolist() == [[-3, 0, -2], [0, 0, -1]]


def test_placed_candidates_come_first_and_the_rest_keeps_its_order() -> None:
    mix = np.float32([[9, 8, 7, 6, EXCLUDED]])
    placed = place_candidates(mix, np.array([[0, 2]]), np.float32([[-40.0, 3.0]]))
    assert placed[0, [0, 2]].tolist() == [-40.0, 3.0]
    assert np.argsort(-placed[0]).tolist() == [2, 0, 1, 3, 4]
    assert mix[0, 0] == 9  # what came in is left as it was


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_no_other_item_overtakes_a_candidate(scale: float) -> None:
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(6, 40)).astype(np.float32) * scale
    candidates = scorer().candidates(mix, 10)
    scores = rng.normal(size=(6, 10)).astype(np.float32) * scale
    placed = place_candidates(mix, candidates, scores)
    top = np.argsort(-placed, axis=1)[:, :10]
    for row in range(6):
        assert set(top[row]) == set(candidates[row])
