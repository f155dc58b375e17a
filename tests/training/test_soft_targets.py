"""Soft targets: found by place, whatever is left out, and a share of the target distribution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from training.soft_targets import SoftTargets

SOFT = SoftTargets.expected(
    np.array([7, 2]),
    np.array([[4, 5], [1, 3]]),
    np.log(np.array([[3.0, 1.0], [1.0, 1.0]])),
)


def test_expected_is_a_softmax_in_order_of_the_places() -> None:
    assert SOFT.place.tolist() == [2, 7]
    assert SOFT.candidates.tolist() == [[1, 3], [4, 5]]
    np.testing.assert_allclose(SOFT.chance, [[0.5, 0.5], [0.75, 0.25]], rtol=1e-3)


def test_at_gives_a_share_where_something_is_expected() -> None:
    candidates, shares = SOFT.at(torch.tensor([7, 0, 9, 2]), share=0.4)
    assert candidates[[0, 3]].tolist() == [[4, 5], [1, 3]]
    torch.testing.assert_close(
        shares, torch.tensor([[0.3, 0.1], [0, 0], [0, 0], [0.2, 0.2]]), rtol=1e-3, atol=1e-6
    )


def test_a_whole_share_is_never_more_than_all() -> None:
    chances = np.random.default_rng(0).normal(size=(50, 100))
    soft = SoftTargets.expected(np.arange(50), np.tile(np.arange(100), (50, 1)), chances)
    _, shares = soft.at(torch.arange(50), share=1.0)
    torch.testing.assert_close(shares.sum(1), torch.ones(50))


def test_where_nothing_is_expected_anywhere_there_are_no_candidates() -> None:
    nothing = SoftTargets.expected(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3)))
    candidates, shares = nothing.at(torch.tensor([4, 7]), share=0.5)
    assert candidates.shape == shares.shape == (2, 0)


def test_join_and_files_keep_everything(tmp_path: Path) -> None:
    one = SoftTargets.expected(np.array([5]), np.array([[9, 8]]), np.zeros((1, 2)))
    joined = SoftTargets.join([SOFT, one])
    assert joined.place.tolist() == [2, 5, 7]
    assert joined.candidates.tolist() == [[1, 3], [9, 8], [4, 5]]
    joined.save(tmp_path / "soft.npz")
    read = SoftTargets.load(tmp_path / "soft.npz")
    np.testing.assert_array_equal(read.place, joined.place)
    np.testing.assert_array_equal(read.candidates, joined.candidates)
    np.testing.assert_array_equal(read.chance, joined.chance)
