"""Cross-fitting: nobody is judged by what they themselves taught."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.progress import Progress

from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING
from model_export.contract.scoring import DEFAULT_WEIGHTS, FEATURES
from training.data.sequences import Sequences
from training.lists import CandidateLists, Logits
from training.soft_targets import Expected, SoftTargets
from training.stages import stage2_cross_fit
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
MIX_FEATURE = FEATURES.index("mix")


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
    folder: Path, progress: Progress | None = None, distillation: float = 0.0
) -> tuple[CandidateLists, dict[str, float]]:
    settings = config(distillation)
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


@pytest.mark.parametrize(("movement", "distillation"), [(2, 0), (5, 0), (5, 0.5), (11, 0.5)])
def test_interrupted_folds_give_the_same_lists(
    tmp_path: Path, movement: int, distillation: float
) -> None:
    whole, mix = lists_of(tmp_path / "whole", None, distillation)
    with pytest.raises(KeyboardInterrupt):
        lists_of(tmp_path / "part", tiny.Interrupted(movement), distillation)
    resumed, same_mix = lists_of(tmp_path / "part", None, distillation)
    assert mix == same_mix
    np.testing.assert_array_equal(whole.candidates, resumed.candidates)
    np.testing.assert_array_equal(whole.features, resumed.features)


# --- soft targets ------------------------------------------------------------------------------


@pytest.mark.parametrize("distillation", [0.0, 0.5])
def test_what_a_fold_learns_is_blind_to_its_users(tmp_path: Path, distillation: float) -> None:
    """Not even by way of those who teach it: whatever they did, its network is the same, bit for bit."""
    walks, settings = tiny.walks(12, 5), config(distillation)
    held_out = split_users(12, 3, seed=1) == 0
    places = np.repeat(held_out, walks.lengths)
    noise = walks.items.copy()
    noise[places] = np.random.default_rng(0).integers(20, size=places.sum())
    rows = np.array([[4, 5, 6]])
    logits = []
    for name, items in (("a", walks.items), ("b", noise)):
        data = Data(Sequences(walks.user_ids, walks.offsets, items), TEXT, settings, tiny.silent())
        folds = cross_fit(data, tiny.new_network, tmp_path / name, 1)
        logits.append([fold.logits(rows) for fold in folds])
    np.testing.assert_array_equal(logits[0][0], logits[1][0])
    assert (logits[0][1] != logits[1][1]).any()


def test_a_fold_learns_from_what_is_expected_of_the_others(tmp_path: Path) -> None:
    walks, rows = tiny.walks(12, 5), np.array([[4, 5, 6]])
    logits = []
    for distillation in (0.0, 0.5):
        data = Data(walks, TEXT, config(distillation), tiny.silent())
        folder = tmp_path / str(distillation)
        logits.append(cross_fit(data, tiny.new_network, folder, 1)[0].logits(rows))
    assert (logits[0] != logits[1]).any()
    files = [SoftTargets.load(file) for file in sorted(tmp_path.glob("0.5/for-0-of-*.npz"))]
    places = np.concatenate([file.place for file in files])
    owner = places // 5
    assert len(files) == 2
    assert len(places) == len(set(places)) == 8 * 4
    assert not np.isin(owner, np.flatnonzero(split_users(12, 3, seed=1) == 0)).any()


def test_a_fold_is_taught_by_place_though_its_own_users_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A walker's next item is expected where it came, among the histories that the fold learns from."""
    given: dict[str, Expected] = {}

    def fit(name: str, *rest: Any) -> Logits:
        if callable(rest[-1]):
            given[name] = rest[-1]
        return lambda rows: 9.0 * np.eye(20)[(rows[:, -1] + 1) % 20]

    monkeypatch.setattr(stage2_cross_fit, "fit_network", fit)
    walks = tiny.walks(12, 5)
    data = Data(walks, TEXT, config(0.5), tiny.silent())
    cross_fit(data, tiny.new_network, tmp_path, 1)
    fold_of = split_users(12, 3, seed=1)
    for number in range(3):
        kept = np.repeat(fold_of != number, 5)
        left = walks.items[kept]
        places = np.flatnonzero(np.arange(len(left)) % 5)
        candidates, shares = given[f"fold {number + 1}"](torch.from_numpy(places))
        best = candidates.gather(1, shares.argmax(1)[:, None])[:, 0]
        assert best.tolist() == left[places].tolist()


@pytest.mark.parametrize("users", [1, 3])
def test_parts_without_users_are_expected_nothing_of(users: int) -> None:
    walks, nobody = tiny.walks(users, 5), np.zeros(users, dtype=bool)
    fold = Fold(
        "fold",
        Data(walks, TEXT, config(), tiny.silent()),
        np.zeros(0, int),
        nobody,
        lambda rows: np.zeros((len(rows), 20)),
    )
    assert not len(fold.expected(9, DEFAULT_WEIGHTS, lambda lists: lists.features[..., 0]).place)
    assert not len(fold.expected_by_mix(9, DEFAULT_WEIGHTS).place)


def test_expected_is_what_the_judge_says_of_every_position() -> None:
    walks = tiny.walks(12, 5)
    users = np.arange(3)
    nobody = np.zeros(12, dtype=bool)
    fold = Fold(
        "fold",
        Data(walks, TEXT, config(), tiny.silent()),
        users,
        nobody,
        lambda rows: np.zeros((len(rows), 20)),
    )
    expected = fold.expected(999, DEFAULT_WEIGHTS, lambda lists: np.log(1.0 + lists.candidates))
    assert expected.place.tolist() == [1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14]
    shares = 1.0 + expected.candidates
    np.testing.assert_allclose(expected.chance, shares / shares.sum(1, keepdims=True), rtol=2e-3)
    by_mix = fold.expected_by_mix(999, DEFAULT_WEIGHTS)
    mixed = fold.expected(999, DEFAULT_WEIGHTS, lambda lists: lists.features[..., MIX_FEATURE])
    np.testing.assert_array_equal(by_mix.candidates, mixed.candidates)
    np.testing.assert_allclose(by_mix.chance, mixed.chance, atol=2e-3)
