"""The lazy ranking against the plain one: every score written out and sorted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_export.contract.pool import Pool
from model_export.contract.ranking import Ranking
from model_export.contract.scoring import EXCLUDED

ITEMS, CANDIDATES = 40, 6
DEMANDED = np.random.default_rng(9).random(ITEMS).astype(np.float32)


def mixes(seed: int, allowed: int) -> NDArray[np.float32]:
    """Two mixes in which only so many items are allowed."""
    random = np.random.default_rng(seed)
    mix = random.normal(size=(2, ITEMS)).astype(np.float32)
    for line in mix:
        line[random.permutation(ITEMS)[allowed:]] = EXCLUDED
    return mix


def pool(mix: NDArray[np.float32], size: int) -> Pool:
    """About so many items of these mixes in any order, among them enough that are allowed."""
    allowed = mix > EXCLUDED / 2
    rows = np.arange(ITEMS)
    if size < ITEMS:
        chosen = np.random.default_rng(4).permutation(ITEMS)
        rows = np.union1d(np.flatnonzero(allowed)[:CANDIDATES], chosen[:size])
        rows = chosen[np.isin(chosen, rows)]
    return Pool(rows, mix[rows], DEMANDED, allowed)


def ranking(seed: int, allowed: int = 30, *, weighed: bool, size: int = ITEMS) -> Ranking:
    first = Ranking.of([pool(mix, size) for mix in mixes(seed, allowed)], CANDIDATES)
    random = np.random.default_rng(seed + 1)
    scores = random.normal(size=first.places.shape).astype(np.float32) if weighed else None
    return replace(first, weighed=scores)


def plainly(scores: NDArray[np.float32], count: int) -> list[int]:
    best = np.argsort(-scores, kind="stable")[:count]
    return [int(row) for row in best if scores[row] > EXCLUDED / 2]


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("allowed", [3, 30])
@pytest.mark.parametrize("count", [1, CANDIDATES, 20, 28])
@pytest.mark.parametrize("size", [CANDIDATES, 25, ITEMS])
def test_the_best_are_those_of_all_scores(
    weighed: bool, allowed: int, count: int, size: int
) -> None:
    found = ranking(3, allowed, weighed=weighed, size=size)
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
        rest = [row for row in plainly(found.pools[request].mix, ITEMS) if row not in expected]
        assert found.best(request, ITEMS)[0].tolist() == expected + rest


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("allowed", [2, 30])
def test_what_was_not_looked_at_ranks_below_all_that_was_by_demand(
    weighed: bool, allowed: int
) -> None:
    found = ranking(6, allowed, weighed=weighed, size=20)
    for request, (looked_at, scores) in enumerate(zip(found.pools, found.scores, strict=True)):
        mask = looked_at.allowed
        assert ((scores > EXCLUDED / 2) == mask).all()
        inside = np.isin(np.arange(ITEMS), looked_at.rows)
        below = scores.max(where=~inside & mask, initial=-np.inf)
        assert below < scores[inside & mask].min()
        everything = found.best(request, ITEMS)[0]
        assert len(everything) == allowed
        outside = [row for row in everything.tolist() if not inside[row]]
        assert outside == sorted(outside, key=lambda row: -DEMANDED[row])


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("size", [12, ITEMS])
def test_ranks_are_places_among_all_items(weighed: bool, size: int) -> None:
    found = ranking(7, weighed=weighed, size=size)
    order = plainly(found.scores[1], ITEMS)
    for rows in (order[:3], order[-3:], [order[0], order[-1]], order[4:9]):
        ranks = found.ranks(1, np.array(rows)).tolist()
        assert ranks == [order.index(row) + 1 for row in rows]


@given(st.integers(0, 10_000), st.booleans(), st.integers(2, 30))
def test_raising_some_items_is_adding_to_their_scores(
    seed: int, weighed: bool, allowed: int
) -> None:
    before = ranking(seed, allowed, weighed=weighed)
    rows, gains = raises(before, seed)
    expected = raised(before, rows, gains)
    after = before.raised(rows, gains)
    np.testing.assert_allclose(after.scores, expected, rtol=1e-6)
    for request in range(2):
        top, scores = after.best(request, CANDIDATES)
        assert top.tolist() == plainly(expected[request], CANDIDATES)
        np.testing.assert_allclose(scores, expected[request, top], rtol=1e-6)
        every = after.best(request, ITEMS)[0]
        assert every.tolist() == plainly(expected[request], ITEMS)
        np.testing.assert_array_equal(after.ranks(request, top), np.arange(len(top)) + 1)


@given(st.integers(0, 10_000), st.booleans(), st.integers(2, 30))
def test_raising_finds_items_that_were_not_looked_at(
    seed: int, weighed: bool, allowed: int
) -> None:
    """They are looked at from then on; what stays unlooked at stands below."""
    before = ranking(seed, allowed, weighed=weighed, size=15)
    rows, gains = raises(before, seed)
    expected = raised(before, rows, gains)
    after = before.raised(rows, gains)
    for request, looked_at in enumerate(after.pools):
        assert set(rows[request, rows[request] >= 0]) <= set(looked_at.rows)
        here = looked_at.rows
        np.testing.assert_allclose(after.scores[request, here], expected[request, here], rtol=1e-6)
        assert len(after.best(request, ITEMS)[0]) == allowed


def raises(before: Ranking, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Some allowed items of each request and what they gain."""
    random = np.random.default_rng(seed + 2)
    rows = np.stack([random.permutation(ITEMS)[:8] for _ in range(2)])
    allowed = np.stack([looked_at.allowed for looked_at in before.pools])
    rows[~np.take_along_axis(allowed, rows, 1)] = -1
    return rows, random.random(rows.shape).astype(np.float32) * 3


def raised(
    before: Ranking, rows: NDArray[np.int64], gains: NDArray[np.float32]
) -> NDArray[np.float32]:
    scores = before.scores.copy()
    for line, own, gained in zip(scores, rows, gains, strict=True):
        line[own[own >= 0]] += gained[own >= 0]
    return scores
