"""Cross-fitting: nobody is judged by what they themselves taught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING
from model_export.contract.scoring import DEFAULT_WEIGHTS
from training.data.sequences import Sequences
from training.lists import CandidateLists
from training.stages.stage2_cross_fit import (
    MIX,
    Data,
    Fold,
    cross_fit,
    cross_fitted_lists,
    fit_network,
    fit_scorer,
    others,
    positions,
    split_users,
)

from .. import tiny
from ..tiny import cross_fit_config as config

TEXT = NeighbourTable(np.full((20, 1), PADDING), np.zeros((20, 1), np.float32))


# --- who is held out ---------------------------------------------------------------------------


def test_folds_are_equal_and_seeded() -> None:
    folds = split_users(10, 3, seed=1)
    assert sorted(np.bincount(folds)) == [3, 3, 4]
    assert folds.tolist() == split_users(10, 3, seed=1).tolist()
    assert folds.tolist() != split_users(10, 3, seed=2).tolist()


def test_others_have_no_item_of_the_held_out() -> None:
    training = Sequences(["a", "b", "c"], np.array([0, 2, 5, 6]), np.array([1, 2, 3, 4, 5, 6]))
    offsets, items = others(training, np.array([False, True, False]))
    assert offsets.tolist() == [0, 2, 2, 3]
    assert items.tolist() == [1, 2, 6]


def test_positions_are_the_latest_of_every_user_first() -> None:
    training = Sequences(["a", "b", "c"], np.array([0, 3, 7, 8]), np.arange(8) * 10)
    histories, places = positions(training, np.array([0, 1, 2]), limit=4)
    assert training.items[places].tolist() == [20, 60, 10, 50]
    assert [h.tolist() for h in histories] == [[0, 10], [30, 40, 50], [0], [30, 40]]
    assert len(positions(training, np.array([0, 1, 2]), limit=99)[0]) == 5
    assert positions(training, np.array([2]), limit=9)[0] == []


def test_a_fold_is_blind_to_its_held_out_users(tmp_path: Path) -> None:
    """Whatever they did, the fold's network and evidence are the same, bit for bit."""
    training = tiny.walks(9, 6)
    held_out = np.arange(9) % 3 == 0
    noise = training.items.copy()
    places = np.repeat(held_out, training.lengths)
    noise[places] = np.random.default_rng(0).integers(20, size=places.sum())
    rows = np.array([[4, 5, 6]])
    logits, scorers = [], []
    for name, items in (("a", training.items), ("b", noise)):
        sequences = Sequences(training.user_ids, training.offsets, items)
        data = Data(sequences, TEXT, config(), tiny.silent())
        network = fit_network("fold", held_out, data, tiny.new_network, tmp_path / name, 1)
        logits.append(network(rows))
        scorers.append(fit_scorer(held_out, data, {}))
    np.testing.assert_array_equal(logits[0], logits[1])
    np.testing.assert_array_equal(scorers[0].popularity, scorers[1].popularity)
    assert scorers[0].popularity.sum() == 36
    for name, table in scorers[0].tables.items():
        np.testing.assert_array_equal(table.items, scorers[1].tables[name].items)
        np.testing.assert_array_equal(table.weights, scorers[1].tables[name].weights)


# --- lists -------------------------------------------------------------------------------------


def lists_of(
    folder: Path, progress: Progress | None = None
) -> tuple[CandidateLists, dict[str, float]]:
    settings = config()
    data = Data(tiny.walks(12, 5), TEXT, settings, progress or tiny.silent())
    folds = cross_fit(data, tiny.new_network, folder, 1)
    return cross_fitted_lists(folds, settings.deliberate, folder)


def test_cross_fitted_lists_hold_their_target(tmp_path: Path) -> None:
    lists, mix = lists_of(tmp_path)
    assert set(mix) == set(MIX)
    assert 0 < len(lists) <= 12 * 4
    assert (lists.label >= 0).all()
    target = np.take_along_axis(lists.candidates, lists.label[:, None], 1)[:, 0]
    assert (target == (lists.history[:, -1] + 1) % 20).all()


@pytest.mark.parametrize("movement", [2, 5])
def test_interrupted_folds_give_the_same_lists(tmp_path: Path, movement: int) -> None:
    whole, mix = lists_of(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        lists_of(tmp_path / "part", tiny.Interrupted(movement))
    resumed, same_mix = lists_of(tmp_path / "part")
    assert mix == same_mix
    np.testing.assert_array_equal(whole.candidates, resumed.candidates)
    np.testing.assert_array_equal(whole.features, resumed.features)


# --- soft targets ------------------------------------------------------------------------------


@pytest.mark.parametrize("users", [1, 3])
def test_parts_without_users_are_expected_nothing_of(users: int) -> None:
    walks = tiny.walks(users, 5)
    fold = Fold(
        "fold",
        Data(walks, TEXT, config(), tiny.silent()),
        np.zeros(0, int),
        lambda rows: np.zeros((len(rows), 20)),
    )
    assert not len(fold.expected(9, DEFAULT_WEIGHTS, lambda lists: lists.features[..., 0]).place)


def test_expected_is_what_the_judge_says_of_every_position() -> None:
    walks = tiny.walks(12, 5)
    users = np.arange(3)
    fold = Fold(
        "fold",
        Data(walks, TEXT, config(), tiny.silent()),
        users,
        lambda rows: np.zeros((len(rows), 20)),
    )
    expected = fold.expected(999, DEFAULT_WEIGHTS, lambda lists: np.log(1.0 + lists.candidates))
    assert expected.place.tolist() == [1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14]
    shares = 1.0 + expected.candidates
    np.testing.assert_allclose(expected.chance, shares / shares.sum(1, keepdims=True), rtol=2e-3)
