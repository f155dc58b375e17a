"""Learning to deliberate: nobody is judged by what they themselves taught."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.progress import Progress

from model_export.contract.config import DeliberationConfig, EvidenceConfig
from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING
from model_export.contract.scoring import FEATURES
from training.args import DeliberateConfig, OptimConfig, RunConfig
from training.data.sequences import Sequences
from training.deliberation import Deliberator
from training.lists import CandidateLists
from training.stages.stage2_deliberate import (
    MIX,
    cross_fitted_lists,
    fit_network,
    fit_scorer,
    list_metrics,
    new_deliberator,
    others,
    positions,
    split_users,
    train_deliberator,
)

from .. import tiny

TEXT = NeighbourTable(np.full((20, 1), PADDING), np.zeros((20, 1), np.float32))


def config(**changes: Any) -> RunConfig:
    return RunConfig(
        model=tiny.config(),
        deliberation=DeliberationConfig(candidates=8, d_model=16, heads=2, thoughts=2),
        evidence=EvidenceConfig(neighbours=5),
        deliberate=DeliberateConfig(
            folds=3, epochs=3, rounds=2, batch_size=16,
            network=OptimConfig(epochs=2, batch_size=64), **changes,
        ),
    )  # fmt: skip


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
    histories, targets = positions(training, np.array([0, 1, 2]), limit=4)
    assert targets.tolist() == [20, 60, 10, 50]
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
        network = fit_network(
            0, held_out, sequences, tiny.new_network, config(), tmp_path / name, 1, tiny.silent()
        )
        logits.append(network(rows))
        scorers.append(fit_scorer(held_out, sequences, TEXT, config().evidence, {}))
    np.testing.assert_array_equal(logits[0], logits[1])
    np.testing.assert_array_equal(scorers[0].popularity, scorers[1].popularity)
    assert scorers[0].popularity.sum() == 36
    for name, table in scorers[0].tables.items():
        np.testing.assert_array_equal(table.items, scorers[1].tables[name].items)
        np.testing.assert_array_equal(table.weights, scorers[1].tables[name].weights)


# --- lists -------------------------------------------------------------------------------------


def cross_fit(
    folder: Path, progress: Progress | None = None
) -> tuple[CandidateLists, dict[str, float]]:
    return cross_fitted_lists(
        tiny.walks(12, 5), TEXT, tiny.new_network, config(), folder, 1, progress or tiny.silent()
    )


def test_cross_fitted_lists_hold_their_target(tmp_path: Path) -> None:
    lists, mix = cross_fit(tmp_path)
    assert set(mix) == set(MIX)
    assert 0 < len(lists) <= 12 * 4
    assert (lists.label >= 0).all()
    target = np.take_along_axis(lists.candidates, lists.label[:, None], 1)[:, 0]
    assert (target == (lists.history[:, -1] + 1) % 20).all()


@pytest.mark.parametrize("movement", [2, 5, 8])
def test_interrupted_folds_give_the_same_lists(tmp_path: Path, movement: int) -> None:
    whole, mix = cross_fit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        cross_fit(tmp_path / "part", tiny.Interrupted(movement))
    resumed, same_mix = cross_fit(tmp_path / "part")
    assert mix == same_mix
    np.testing.assert_array_equal(whole.candidates, resumed.candidates)
    np.testing.assert_array_equal(whole.features, resumed.features)


# --- the deliberator ---------------------------------------------------------------------------


def planted(seed: int, count: int = 120) -> CandidateLists:
    """The target is the candidate with the highest text@0.8, of which the mix knows nothing."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 8, len(FEATURES))).astype(np.float16)
    features[..., FEATURES.index("mix")] = -np.sort(rng.random((count, 8)), axis=1)
    label = features[..., FEATURES.index("text@0.8")].argmax(1)
    candidates = rng.integers(20, size=(count, 8)).astype(np.int32)
    history = rng.integers(-1, 20, size=(count, 20)).astype(np.int32)
    return CandidateLists(candidates, features, label.astype(np.int32), history)


TEXTS = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))


def new(settings: RunConfig) -> Deliberator:
    torch.manual_seed(4)
    return new_deliberator(planted(0), 6, settings)


def train(
    model: Deliberator, folder: Path, settings: RunConfig, progress: Progress | None = None
) -> list[dict[str, Any]]:
    return train_deliberator(
        model, planted(0), planted(1, 40), TEXTS, settings, folder, 1, progress or tiny.silent()
    )


def test_an_untrained_deliberator_keeps_the_mix() -> None:
    metrics = list_metrics(new(config()), planted(1), TEXTS, 2)
    assert metrics["ndcg@10 round 0"] == metrics["ndcg@10 round 1"] == metrics["ndcg@10 round 2"]


def test_training_that_never_helps_leaves_the_mix_as_it_is(tmp_path: Path) -> None:
    settings = config(learning_rate=1e-9)
    model = new(settings)
    history = train(model, tmp_path, settings)
    assert len(history) == 3
    assert (
        history[-1]["metrics"]["objective"]
        == list_metrics(model, planted(1, 40), TEXTS, 0)["objective"]
    )


def test_without_a_list_it_stays_untrained_and_keeps_the_mix(tmp_path: Path) -> None:
    model = new_deliberator(planted(0, 0), 6, config())
    nothing = planted(0, 0)
    assert not train_deliberator(
        model, nothing, planted(1, 40), TEXTS, config(), tmp_path, 1, tiny.silent()
    )
    metrics = list_metrics(model, planted(1), TEXTS, 2)
    assert metrics["ndcg@10 round 0"] == metrics["ndcg@10 round 2"] > 0


def test_a_target_outside_its_list_counts_as_missed() -> None:
    lists = planted(1)
    lists.label[:] = -1
    assert set(list_metrics(new(config()), lists, TEXTS, 2).values()) == {0.0}


def test_every_parameter_moves(tmp_path: Path) -> None:
    settings = config(weight_decay=0.0)
    model = new(settings)
    before = tiny.parameters(model)
    train(model, tmp_path, settings)
    assert set(before) == tiny.moved(before, model)


def test_it_learns_evidence_that_the_mix_ignores(tmp_path: Path) -> None:
    settings = config(learning_rate=5e-3).model_copy()
    settings = settings.model_copy(
        update={"deliberate": settings.deliberate.model_copy(update={"epochs": 15})}
    )
    history = train(new(settings), tmp_path, settings)
    assert history[-1]["losses"]["listwise"] < 0.5 * history[0]["losses"]["listwise"]
    last = history[-1]["metrics"]
    assert last["ndcg@10 round 2"] > last["ndcg@10 round 0"] + 0.2


@pytest.mark.parametrize("movement", [3, 12, 20])
def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path, movement: int) -> None:
    whole, resumed = new(config()), new(config())
    train(whole, tmp_path / "whole", config())
    with pytest.raises(KeyboardInterrupt):
        train(new(config()), tmp_path / "part", config(), tiny.Interrupted(movement))
    history = train(resumed, tmp_path / "part", config())
    assert tiny.equal(whole, resumed)
    assert json.loads(json.dumps(history)) == history
