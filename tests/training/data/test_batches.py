"""Every position is an example once, and no example sees its target or anything later."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_export.contract.history import PADDING
from training.data.batches import Batch, Windows, batches, collate

lengths_and_width = st.tuples(st.lists(st.integers(0, 40), max_size=6), st.integers(1, 9))


def cut(lengths: list[int], max_history: int) -> tuple[NDArray[np.int64], Windows]:
    """Histories whose items are all different, so that an item tells where it stands."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return offsets, Windows.cut(offsets, np.arange(offsets[-1]) * 10, max_history)


@given(lengths_and_width)
def test_every_target_is_covered_exactly_once(drawn: tuple[list[int], int]) -> None:
    offsets, windows = cut(*drawn)
    places = [place for w in range(len(windows)) for place in windows.targets_of(w)]
    first_items = set(offsets[:-1])
    assert sorted(places) == [p for p in range(offsets[-1]) if p not in first_items]


@given(lengths_and_width)
def test_windows_stay_inside_a_history_and_see_enough(drawn: tuple[list[int], int]) -> None:
    (lengths, max_history), (offsets, windows) = drawn, cut(*drawn)
    for w in range(len(windows)):
        user = np.searchsorted(offsets, windows.start[w], side="right") - 1
        assert offsets[user] <= windows.start[w] < windows.first_target[w] < windows.end[w]
        assert windows.end[w] <= offsets[user + 1]
        assert windows.end[w] - 1 - windows.start[w] <= max_history
        for place in windows.targets_of(w):
            before = place - offsets[user]
            assert place - windows.start[w] >= min(before, max_history // 2)
    assert sum(lengths) == offsets[-1]


def seen_by(batch: Batch, example: int) -> list[int]:
    row = batch.rows[batch.owner[example], : batch.newest[example] + 1]
    return [int(item) for item in row if item != PADDING]


@given(lengths_and_width, st.integers(1, 30), st.integers(1, 6), st.integers(0, 3))
def test_an_example_sees_exactly_the_items_before_its_target(
    drawn: tuple[list[int], int], batch_size: int, max_targets: int, seed: int
) -> None:
    _, windows = cut(*drawn)
    for batch in batches(windows, batch_size, max_targets, np.random.default_rng(seed)):
        assert (batch.rows[:, -1] != PADDING).all()
        assert (batch.mask == (batch.rows != PADDING)).all()
        for example in range(len(batch.target)):
            place, target = int(batch.place[example]), int(batch.target[example])
            assert target == 10 * place
            history = seen_by(batch, example)
            assert history
            assert history == [10 * p for p in range(place - len(history), place)]


@given(lengths_and_width, st.integers(1, 30), st.integers(0, 3))
def test_an_epoch_draws_every_example_once(
    drawn: tuple[list[int], int], batch_size: int, seed: int
) -> None:
    _, windows = cut(*drawn)
    drawn_places = Counter(
        int(place)
        for batch in batches(windows, batch_size, 1000, np.random.default_rng(seed))
        for place in batch.place
    )
    assert set(drawn_places.values()) <= {1}
    assert len(drawn_places) == sum(windows.end - windows.first_target)


def test_at_most_so_many_targets_of_a_window() -> None:
    _, windows = cut([30, 3], 30)
    sizes: set[int] = set()
    drawn: set[int] = set()
    for seed in range(20):
        batch = collate(windows, np.array([0, 1]), 4, np.random.default_rng(seed))
        sizes |= set(np.bincount(batch.owner.numpy()))
        drawn |= set(batch.place[:4].tolist())
    assert sizes == {4, 2}
    assert len(drawn) > 20  # another draw each time


def test_the_same_seed_draws_the_same_batches() -> None:
    _, windows = cut([30, 3, 17, 9], 8)

    def epoch(seed: int) -> list[list[int]]:
        rng = np.random.default_rng(seed)
        return [batch.place.tolist() for batch in batches(windows, 6, 3, rng)]

    assert epoch(1) == epoch(1)
    assert epoch(1) != epoch(2)


def test_batches_are_about_as_large_as_asked() -> None:
    _, windows = cut([9] * 100, 8)
    sizes = [len(batch.target) for batch in batches(windows, 64, 25, np.random.default_rng(0))]
    assert sum(sizes) == 800
    assert np.mean(sizes) == pytest.approx(64, rel=0.1)


def test_no_histories_no_batches() -> None:
    _, windows = cut([1, 0], 8)
    assert not list(batches(windows, 4, 4, np.random.default_rng(0)))
