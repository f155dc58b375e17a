"""Learning to deliberate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.progress import Progress

from model_export.contract.scoring import FEATURES
from training.args import RunConfig
from training.deliberation import Deliberator
from training.lists import CandidateLists
from training.stages.stage2_deliberate import (
    final_scores,
    list_metrics,
    new_deliberator,
    train_deliberator,
)

from .. import tiny
from ..tiny import cross_fit_config as config


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


def test_a_feature_that_never_changed_is_not_magnified() -> None:
    lists = planted(0)
    lists.features[..., 3] = 0.5
    model = new_deliberator(lists, 6, config())
    assert model.std[3] == 1
    others = torch.from_numpy(lists.features[..., 4].astype(np.float32))
    torch.testing.assert_close(model.std[4], others.flatten().std())


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


def test_without_lists_there_are_no_final_scores() -> None:
    assert final_scores(new(config()), planted(0, 0), TEXTS, 2).shape == (0, 8)


def test_final_scores_are_those_after_the_last_round(tmp_path: Path) -> None:
    model, lists = new(config()), planted(0)
    train(model, tmp_path, config())
    scores = final_scores(model, lists, TEXTS, 2)
    own = np.take_along_axis(scores, lists.label[:, None], 1)
    ranks = (scores >= own).sum(1)
    expected = np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0).mean()
    assert list_metrics(model, lists, TEXTS, 2)["objective"] == pytest.approx(expected)
