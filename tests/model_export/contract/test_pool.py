"""What a request looks at: everything, or a shortlist that misses nothing it must not miss."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from model_export.contract.evidence import NeighbourTable, joined
from model_export.contract.pool import Pool, Pooling
from model_export.contract.scoring import EXCLUDED, TABLES, Scorer
from model_export.indexing import build_index

ITEMS, INDEXED, ENOUGH = 400, 390, 12
RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(ITEMS, 8)).astype(np.float32)
STATES = RANDOM.normal(size=(3, 8)).astype(np.float32)
HISTORIES = RANDOM.integers(0, ITEMS, (3, 4))
ALL = np.ones(ITEMS, bool)


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    neighbours = RANDOM.integers(0, ITEMS, (ITEMS, 5))
    table = NeighbourTable(neighbours, RANDOM.random((ITEMS, 5), dtype=np.float32))
    weights = {"state": 0.7, "wide@0.8": 2.0, "text@0.4": 1.0, "popularity": 0.3}
    counts = RANDOM.integers(0, 50, ITEMS)
    return Scorer(dict.fromkeys(TABLES, table), counts, counts, weights)


def pools(
    scorer: Scorer, reach: int | None, allowed: NDArray[np.bool_] = ALL
) -> list[tuple[Pool, NDArray[np.float32]]]:
    """One for each state; without a reach, those of the whole catalogue."""
    index = None if reach is None else build_index(VECTORS[:INDEXED], reach, seed=0)
    pooling = Pooling(VECTORS, index, scorer, ENOUGH)
    return pooling.pools(STATES, scorer.reached(HISTORIES), [allowed] * len(STATES))


@pytest.mark.parametrize("reach", [None, 20, ITEMS])
def test_the_mix_of_an_item_is_the_same_in_every_pool(scorer: Scorer, reach: int | None) -> None:
    """But for what is taken off all: the logit of the pool's best."""
    allowed = RANDOM.random(ITEMS) < 0.5
    plain = scorer.plain_mix(HISTORIES)
    for state, expected, (pool, logits) in zip(
        STATES, plain, pools(scorer, reach, allowed), strict=True
    ):
        np.testing.assert_allclose(logits, VECTORS[pool.rows] @ state, rtol=1e-4, atol=1e-4)
        mix = 0.7 * (logits - logits.max()) + expected[pool.rows]
        mix[~allowed[pool.rows]] = EXCLUDED
        np.testing.assert_allclose(pool.mix, mix, rtol=1e-4, atol=1e-4)
        assert len(np.unique(pool.rows)) == len(pool.rows)


def test_a_shortlist_holds_what_is_near_reached_in_demand_or_new(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_export.contract.scoring.IN_DEMAND", 15)
    scorer.__dict__.pop("in_demand", None)
    index = build_index(VECTORS[:INDEXED], 20, seed=0)
    demanded = np.argsort(-scorer.demanded, kind="stable")[:15]
    reached = scorer.reached(HISTORIES)
    for state, gains, (pool, _) in zip(STATES, reached, pools(scorer, 20), strict=True):
        wanted = {
            *index.near(state, index.reach)[0].tolist(),
            *(row for rows, _ in gains for row in rows.tolist()),
            *demanded.tolist(),
            *range(INDEXED, ITEMS),
        }
        assert set(pool.rows.tolist()) == wanted
        assert len(pool.rows) < ITEMS / 2
    scorer.__dict__.pop("in_demand", None)


def test_the_fewer_are_allowed_the_more_cells_are_read(scorer: Scorer) -> None:
    third = np.arange(ITEMS) % 3 == 0
    index = build_index(VECTORS[:INDEXED], 20, seed=0)
    for state, (pool, _) in zip(STATES, pools(scorer, 20, third), strict=True):
        rows, _ = index.near(state, 20 * ITEMS // third.sum())
        assert third[rows].sum() > 10
        assert set(rows[third[rows]]) <= set(pool.rows)


@pytest.mark.parametrize("count", [0, 3, ENOUGH, ENOUGH + 5])
def test_a_filter_that_leaves_too_few_on_the_shortlist_is_answered_exactly(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The best of all that it allows; where these are too few, filled up as exact ranking fills up."""
    monkeypatch.setattr("model_export.contract.scoring.IN_DEMAND", 1)
    scorer.__dict__.pop("in_demand", None)
    looked_at = np.concatenate([pool.rows for pool, _ in pools(scorer, 1)])
    allowed = np.zeros(ITEMS, bool)
    allowed[np.setdiff1d(np.arange(ITEMS), looked_at)[:count]] = True
    assert allowed.sum() == count
    shortlisted, exact = pools(scorer, 1, allowed), pools(scorer, None, allowed)
    for (mine, _), (whole, _) in zip(shortlisted, exact, strict=True):
        best = [pool.rows[np.argsort(-pool.mix, kind="stable")[:ENOUGH]] for pool in (mine, whole)]
        np.testing.assert_array_equal(best[0][:count], best[1][:count])
        if count:
            np.testing.assert_array_equal(*best)
        assert len(mine.rows) < ITEMS
    scorer.__dict__.pop("in_demand", None)


def test_a_filter_whose_items_lie_far_from_the_state_is_answered_exactly(scorer: Scorer) -> None:
    """Though enough of them are in demand or reached by the evidence."""
    index = build_index(VECTORS[:INDEXED], 20, seed=0)
    for place, state in enumerate(STATES):
        allowed = ALL.copy()
        allowed[index.near(state, ITEMS // 2)[0]] = False
        shortlisted = pools(scorer, 20, allowed)[place][0]
        assert set(np.flatnonzero(allowed)) <= set(shortlisted.rows.tolist())


def test_a_pool_that_beams_complete_is_in_order() -> None:
    pool = Pool(np.array([2, 0]), np.array([5, 1], np.float32), np.zeros(3, np.float32), ALL[:3])
    raised = pool.raised(pool.mix, np.array([1]), np.array([3], np.float32))
    assert raised.whole
    assert raised.rows.tolist() == [0, 1, 2]
    assert raised.mix.argmax() == 2


def test_rows_are_joined_once_and_their_places_are_told() -> None:
    rows, others = np.array([7, 3, 9]), np.array([3, 5, 5, 9, 0, 5])
    together, places = joined(rows, others, 10)
    assert together[:3].tolist() == [7, 3, 9]
    assert sorted(together[3:].tolist()) == [0, 5]
    assert together[places].tolist() == others.tolist()
    again, _ = joined(np.array([5, 0]), np.array([7]), 10)  # nothing is left over from before
    assert again.tolist() == [5, 0, 7]
