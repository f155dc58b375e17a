from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model_export.contract.quantize import ResidualQuantizer, squared_distances
from training.items.assign import collision_free_codes, share_in_collision

numbers = st.integers(-4, 4)


@given(
    arrays(np.float32, (3, 3, 2), elements=numbers),
    st.integers(1, 27).flatmap(lambda n: arrays(np.float32, (n, 2), elements=numbers)),
)
def test_any_catalogue_that_fits_becomes_collision_free(
    codebooks: np.ndarray, encoded: np.ndarray
) -> None:
    codes = collision_free_codes(encoded, ResidualQuantizer(codebooks))
    assert codes.shape == (len(encoded), 3)
    assert codes.min() >= 0
    assert codes.max() < 3
    assert share_in_collision(codes) == 0


@given(
    arrays(np.float32, (2, 4, 2), elements=numbers), arrays(np.float32, (6, 2), elements=numbers)
)
def test_prefixes_that_have_room_keep_their_items(
    codebooks: np.ndarray, encoded: np.ndarray
) -> None:
    quantizer = ResidualQuantizer(codebooks)
    nearest = quantizer.codes(encoded)
    codes = collision_free_codes(encoded, quantizer)
    if np.bincount(nearest[:, 0]).max() <= 4:
        np.testing.assert_array_equal(codes[:, 0], nearest[:, 0])
        for prefix in np.unique(nearest[:, 0]):
            group = nearest[:, 0] == prefix
            if share_in_collision(nearest[group]) == 0:
                np.testing.assert_array_equal(codes[group], nearest[group])


@given(
    arrays(np.float32, (1, 4, 2), elements=numbers), arrays(np.float32, (3, 2), elements=numbers)
)
def test_the_total_cost_in_a_group_is_minimal(codebooks: np.ndarray, encoded: np.ndarray) -> None:
    codes = collision_free_codes(encoded, ResidualQuantizer(codebooks))[:, 0]
    costs = squared_distances(encoded, codebooks[0])
    cheapest = min(costs[range(3), list(choice)].sum() for choice in permutations(range(4), 3))
    assert costs[range(3), codes].sum() == pytest.approx(cheapest)


def test_the_cheapest_items_move_out_of_a_crowded_prefix() -> None:
    coarse = np.array([[0.0], [10.0]], dtype=np.float32)
    fine = np.array([[0.0], [1.0]], dtype=np.float32)
    encoded = np.array([[0.0], [0.5], [4.5]], dtype=np.float32)
    codes = collision_free_codes(encoded, ResidualQuantizer(np.stack([coarse, fine])))
    assert codes.tolist() == [[0, 0], [0, 1], [1, 0]]


def test_a_thousand_equal_items_spread_out() -> None:
    codebooks = np.random.default_rng(0).normal(size=(4, 8, 3)).astype(np.float32)
    codes = collision_free_codes(np.zeros((1000, 3), np.float32), ResidualQuantizer(codebooks))
    assert share_in_collision(codes) == 0


def test_more_items_than_semantic_ids_are_refused() -> None:
    quantizer = ResidualQuantizer(np.zeros((1, 2, 1), dtype=np.float32))
    with pytest.raises(ValueError, match="3 items need more"):
        collision_free_codes(np.zeros((3, 1), dtype=np.float32), quantizer)


def test_share_in_collision_by_hand() -> None:
    assert share_in_collision(np.array([[0, 1], [0, 1], [1, 1], [2, 0]])) == 0.5
