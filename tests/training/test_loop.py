from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.args import OptimConfig
from training.data.batches import Batch
from training.loop import Losses, learning_rate, seeded, train_epochs
from training.model import StreamRec

from . import tiny


def test_every_place_draws_its_own_numbers_and_always_the_same() -> None:
    def draw(*names: str | int, seed: int = 1) -> tuple[float, float]:
        return seeded(seed, *names).random(), torch.rand(1).item()

    assert draw("stage 1", 3) == draw("stage 1", 3)
    places = [
        draw("stage 1", 3),
        draw("stage 1", 4),
        draw("stage 2", 3),
        draw("stage 1", 3, seed=2),
    ]
    assert len({numpy_part for numpy_part, _ in places}) == 4
    assert len({torch_part for _, torch_part in places}) == 4


def test_the_learning_rate_warms_up_and_falls_to_a_tenth() -> None:
    optim = OptimConfig(epochs=10, learning_rate=1.0)
    assert learning_rate(optim, 0) == pytest.approx(0.02)
    assert learning_rate(optim, 0.25) == pytest.approx(0.52 * 0.9775)
    assert learning_rate(optim, 5) == pytest.approx(0.55)
    assert learning_rate(optim, 10) == pytest.approx(0.1)
    warm = [learning_rate(optim, done) for done in np.linspace(0.5, 10, 30)]
    assert warm == sorted(warm, reverse=True)


class Objectives:
    """Says what validation finds, epoch by epoch."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def __call__(self) -> dict[str, float]:
        return {"objective": self.values.pop(0)}


def pull_to_one(model: StreamRec) -> Losses:
    return {"scale": (model.state_scale - 1).square()}


def train(
    folder: Path, objectives: Objectives | None, **optim: float
) -> tuple[StreamRec, list[dict]]:
    model = tiny.new_network()
    settings = OptimConfig.model_validate({"epochs": 5, "patience": 2, "batch_size": 20} | optim)

    def losses(_: Batch, __: np.random.Generator) -> Losses:
        return pull_to_one(model)

    history = train_epochs(
        "toy", model, tiny.windows(), losses, objectives, settings, folder, 1, tiny.silent()
    )
    return model, history


def test_training_stops_without_improvement_and_keeps_the_best(tmp_path: Path) -> None:
    model, history = train(tmp_path / "a", Objectives(0.1, 0.2, 0.5, 0.4, 0.5, 0.9))
    assert [record["metrics"]["objective"] for record in history] == [0.2, 0.5, 0.4, 0.5]
    two_epochs, _ = train(tmp_path / "b", Objectives(0.1, 0.2, 0.5, 0.0, 0.0))
    assert tiny.equal(model, two_epochs)


def test_training_that_never_helps_leaves_the_weights_as_they_came(tmp_path: Path) -> None:
    model, history = train(tmp_path, Objectives(0.5, 0.4, 0.3))
    assert len(history) == 2
    assert tiny.equal(model, tiny.new_network())


def test_without_validation_all_epochs_run_and_the_last_stays(tmp_path: Path) -> None:
    model, history = train(tmp_path, None, epochs=5, patience=1)
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5]
    losses = [record["losses"]["scale"] for record in history]
    assert losses == sorted(losses, reverse=True)
    assert pull_to_one(model)["scale"].item() < losses[-1]


def test_training_anew_in_a_finished_folder_trains_nothing(tmp_path: Path) -> None:
    model, history = train(tmp_path, None)
    again, same_history = train(tmp_path, None)
    assert tiny.equal(model, again)
    assert history == same_history
