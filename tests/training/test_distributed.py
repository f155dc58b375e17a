"""Several processes learn what one would have learnt."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_export.contract.errors import ConfigError
from tests.conftest import train as train_shop
from tests.training import tiny
from tests.training.curve import train
from training import distributed
from training.data.batches import batches
from training.steps import STEPS


def torchrun(processes: int, *arguments: object) -> str:
    """Run a module in several processes and return what they print."""
    command = [
        sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone",
        "--nproc-per-node", str(processes), "-m", "--", *map(str, arguments),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_processes_share_every_batch_among_them() -> None:
    def read(share: tuple[int, int]) -> list[set[int]]:
        rng = np.random.default_rng(1)
        return [
            set(batch.place.tolist())
            for batch in batches(tiny.windows(users=23), 20, 99, rng, share)
        ]

    for whole, first, second in zip(read((0, 1)), read((0, 2)), read((1, 2)), strict=True):
        assert first | second == whole
        assert not first & second


def test_a_batch_that_is_too_small_goes_to_every_process() -> None:
    windows = tiny.windows(users=2)
    for rank in range(3):
        (batch,) = batches(windows, 99, 99, np.random.default_rng(1), (rank, 3))
        assert set(batch.owner.tolist()) == {0, 1}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
def test_the_mean_of_all_parts_is_that_of_the_batch(size: int) -> None:
    losses = np.arange(size) ** 2.0
    parts = [distributed.part(losses, rank, 3) for rank in range(3)]
    assert np.mean([weight * part.mean() for part, weight in parts]) == pytest.approx(losses.mean())


def test_two_processes_go_on_where_one_stopped_and_along_the_same_curve(tmp_path: Path) -> None:
    alone = train(tmp_path / "alone", tiny.silent())
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", tiny.Interrupted(15))
    together: list[dict[str, Any]] = json.loads(
        torchrun(2, "tests.training.curve", tmp_path / "stopped")
    )
    one, two = (
        np.array([list(epoch["losses"].values()) for epoch in run]) for run in (alone, together)
    )
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_allclose(one[1:], two[1:], rtol=1e-4)
    assert one[-1].sum() < one[0].sum()


@pytest.mark.parametrize("by", ["torchrun", "streamrec"])
def test_every_step_runs_in_several_processes(by: str, shop: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    if by == "torchrun":
        torchrun(
            2, "streamrec", "train", "--interactions", shop / "interactions.csv",
            "--items", shop / "items.csv", "--config", shop / "config.toml", "--run", run,
        )  # fmt: skip
    else:
        train_shop(shop, run, "--threads", 2)
    again = train_shop(shop, run)
    for step in STEPS:
        assert f"{step}: unchanged, skipped" in again.stderr


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="not one of auto, cpu, cuda"), distributed.processes("x"):
        pass
