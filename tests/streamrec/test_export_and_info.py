from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from model_export.contract.bundle import open_bundle
from tests.conftest import streamrec
from training.run import Run
from training.steps import STEPS


def test_an_unchanged_bundle_is_left_alone(trained: Path, bundle: Path) -> None:
    before = (bundle / "manifest.json").stat().st_mtime_ns
    result = streamrec("export", trained, "--bundle", bundle)
    assert result.exit_code == 0
    assert "unchanged, skipped" in result.stderr
    assert (bundle / "manifest.json").stat().st_mtime_ns == before


def test_fresh_evidence_is_another_verified_model(
    trained: Path, bundle: Path, tmp_path: Path
) -> None:
    result = streamrec("export", trained, "--bundle", tmp_path / "bundle", "--fresh-evidence")
    assert result.exit_code == 0, result.stderr
    fresh, plain = open_bundle(tmp_path / "bundle"), open_bundle(bundle)
    assert fresh.manifest.model_version != plain.manifest.model_version
    held_out = 2 * len(Run.open(trained).sequences.holdout("test").targets)
    assert fresh.table("popularity").sum() == plain.table("popularity").sum() + held_out


def test_a_full_disk_is_not_taken_for_a_damaged_run(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_from: Path, to: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(to))

    monkeypatch.setattr(shutil, "copytree", full)
    result = streamrec("export", trained, "--bundle", tmp_path / "bundle")
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert "delete" not in result.stderr


def test_what_is_no_run_is_not_exported(tmp_path: Path) -> None:
    result = streamrec("export", tmp_path, "--bundle", tmp_path / "bundle")
    assert result.exit_code == 1
    assert "is not a run" in result.stderr
    assert not (tmp_path / "bundle").exists()


def test_info_of_a_run_says_what_each_step_found(trained: Path) -> None:
    result = streamrec("info", trained)
    assert all(step in result.stdout for step in STEPS)
    assert "60 users" in result.stdout


def test_info_of_a_bundle_is_its_model_card(bundle: Path) -> None:
    result = streamrec("info", bundle)
    assert "reasoning steps by effort" in result.stdout


def test_info_of_anything_else_is_refused(tmp_path: Path) -> None:
    result = streamrec("info", tmp_path)
    assert result.exit_code == 1
    assert "neither a run nor a bundle" in result.stderr
