"""The lazy ranking against the plain one: every score written out and sorted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_export.contract.ranking import Ranking
from model_export.contract.scoring import EXCLUDED

ITEMS, CANDIDATES = 40, 6


def mixes(seed: int, allowed: int) -> NDArray[np.float32]:
    """Two mixes in which only so many items are allowed."""
    random = np.random.default_rng(seed)
    mix = random.normal(size=(2, ITEMS)).astype(np.float32)
    for line in mix:
        line[random.permutation(ITEMS)[allowed:]] = EXCLUDED
    return mix


def ranking(seed: int, allowed: int = 30, *, weighed: bool) -> Ranking:
    mix = mixes(seed, allowed)
    candidates = np.argsort(-mix, axis=1, kind="stable")[:, :CANDIDATES]
    random = np.random.default_rng(seed + 1)
    scores = random.normal(size=candidates.shape).astype(np.float32) if weighed else None
    return Ranking(mix, candidates, scores)


def plainly(scores: NDArray[np.float32], count: int) -> list[int]:
    best = np.argsort(-scores, kind="stable")[:count]
    return [int(row) for row in best if scores[row] > EXCLUDED / 2]


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("allowed", [3, 30])
@pytest.mark.parametrize("count", [1, CANDIDATES, 20])
def test_the_best_are_those_of_all_scores(weighed: bool, allowed: int, count: int) -> None:
    found = ranking(3, allowed, weighed=weighed)
    for request in range(2):
        rows, scores = found.best(request, count)
        assert rows.tolist() == plainly(found.scores[request], count)
        np.testing.assert_array_equal(scores, found.scores[request, rows])


def test_weighed_candidates_stand_above_all_others_in_the_order_of_their_scores() -> None:
    found = ranking(5, weighed=True)
    assert found.weighed is not None
    for request in range(2):
        order = np.argsort(-found.weighed[request])
        expected = found.candidates[request, order].tolist()
        rest = [row for row in plainly(found.mix[request], ITEMS) if row not in expected]
        assert found.best(request, ITEMS)[0].tolist() == expected + rest


@pytest.mark.parametrize("weighed", [False, True])
def test_ranks_are_places_among_all_items(weighed: bool) -> None:
    found = ranking(7, weighed=weighed)
    order = plainly(found.scores[1], ITEMS)
    for rows in (order[:3], order[-3:], [order[0], order[-1]]):
        ranks = found.ranks(1, np.array(rows)).tolist()
        assert ranks == [order.index(row) + 1 for row in rows]


@given(st.integers(0, 10_000), st.booleans(), st.integers(2, 30))
def test_raising_some_items_is_adding_to_their_scores(
    seed: int, weighed: bool, allowed: int
) -> None:
    before = ranking(seed, allowed, weighed=weighed)
    random = np.random.default_rng(seed + 2)
    rows = np.stack([random.permutation(ITEMS)[:8] for _ in range(2)])
    rows[~(np.take_along_axis(before.mix, rows, 1) > EXCLUDED / 2)] = -1
    gains = random.random(rows.shape).astype(np.float32) * 3
    expected = before.scores.copy()
    for line, own, gained in zip(expected, rows, gains, strict=True):
        line[own[own >= 0]] += gained[own >= 0]
    after = before.raised(rows, gains)
    for request in range(2):
        top, scores = after.best(request, CANDIDATES)
        assert top.tolist() == plainly(expected[request], CANDIDATES)
        np.testing.assert_allclose(scores, expected[request, top], rtol=1e-6)
        every = after.best(request, ITEMS)[0]
        assert every.tolist() == plainly(expected[request], ITEMS)
        np.testing.assert_array_equal(after.ranks(request, top), np.arange(len(top)) + 1)
