from __future__ import annotations

import math

import numpy as np
from scipy.sparse import csr_array

from training.items.behaviour import behaviour_vectors, positive_pmi
from training.items.cooccurrence import count_transitions

# Three users, ten interactions: a b c a | b c d | d a b. Item 4 was never touched.
OFFSETS = np.array([0, 4, 7, 10])
ITEMS = np.array([0, 1, 2, 0, 1, 2, 3, 3, 0, 1])


def test_transitions_by_hand() -> None:
    expected = np.zeros((5, 5))
    expected[0, 1] = 1 + 1  # users 1 and 3
    expected[0, 2] = 1 / 2
    expected[1, 2] = 1 + 1  # users 1 and 2
    expected[1, 0] = 1 / 2
    expected[2, 0] = 1
    expected[1, 3] = 1 / 2
    expected[2, 3] = 1
    expected[3, 0] = 1
    expected[3, 1] = 1 / 2
    transitions = count_transitions(OFFSETS, ITEMS, n_items=5, window=2)
    np.testing.assert_allclose(transitions.toarray(), expected)


def test_what_people_come_back_to_follows_itself() -> None:
    transitions = count_transitions(OFFSETS, ITEMS, n_items=5, window=3)
    assert transitions.diagonal().tolist() == [1 / 3, 0, 0, 0, 0]


def test_positive_pmi_by_hand() -> None:
    counts = np.array([[0, 3, 1], [3, 0, 0], [1, 0, 0]], dtype=float)
    # totals 4, 3, 1 of 8: expected 1.5 and 0.5 where 3 and 1 were seen
    expected = np.zeros((3, 3))
    expected[0, 1] = expected[1, 0] = math.log(3 / 1.5)
    expected[0, 2] = expected[2, 0] = math.log(1 / 0.5)
    np.testing.assert_allclose(positive_pmi(csr_array(counts)).toarray(), expected)


def test_less_than_chance_counts_as_nothing() -> None:
    counts = np.array([[0, 1, 9], [1, 0, 9], [9, 9, 0]], dtype=float)
    # items 0 and 1: seen 1, expected 10 · 10 / 38
    assert positive_pmi(csr_array(counts)).toarray()[0, 1] == 0


def test_vectors_reproduce_ppmi_and_know_nothing_of_untouched_items() -> None:
    vectors = behaviour_vectors(OFFSETS, ITEMS, n_items=5, window=2, dims=3, seed=0)
    assert vectors.shape == (5, 3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 1, 0], rtol=1e-5)


def test_items_of_one_circle_lie_closer_than_items_of_two() -> None:
    rng = np.random.default_rng(0)
    users = [rng.permutation(6) + 6 * (user % 2) for user in range(60)]
    offsets = np.arange(0, 361, 6)
    vectors = behaviour_vectors(
        offsets, np.concatenate(users), n_items=12, window=5, dims=2, seed=0
    )
    cosines = vectors @ vectors.T
    assert cosines[:6, :6].min() > cosines[:6, 6:].max()


def test_no_behaviour_at_all_gives_zeros() -> None:
    vectors = behaviour_vectors(np.array([0, 1, 2]), np.array([0, 1]), 3, window=5, dims=4, seed=0)
    np.testing.assert_array_equal(vectors, np.zeros((3, 1)))
