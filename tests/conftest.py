"""A tiny shop, trained over all stages and exported once for all tests that need it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from typer.testing import CliRunner, Result

from streamrec.cli import app

from .tiny_shop import write_tiny_shop

settings.register_profile("unhurried", deadline=None)  # no test depends on how busy the machine is
settings.load_profile("unhurried")


def streamrec(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def train(shop: Path, run: Path, *more: object) -> Result:
    """Train on a tiny shop with its own configuration."""
    return streamrec(
        "train", "--interactions", shop / "interactions.csv", "--items", shop / "items.csv",
        "--config", shop / "config.toml", "--run", run, "--threads", 1, *more,
    )  # fmt: skip


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with interactions.csv, items.csv and config.toml."""
    folder = tmp_path_factory.mktemp("shop")
    write_tiny_shop(folder)
    return folder


@pytest.fixture(scope="session")
def trained(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over all stages; tests must not change it."""
    run = tmp_path_factory.mktemp("trained") / "run"
    result = train(shop, run)
    assert result.exit_code == 0, result.output
    return run


@pytest.fixture(scope="session")
def bundle(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verified bundle of that run."""
    path = tmp_path_factory.mktemp("exported") / "bundle"
    result = streamrec("export", trained, "--bundle", path)
    assert result.exit_code == 0, result.output
    return path
