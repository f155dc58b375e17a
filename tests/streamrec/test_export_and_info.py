from __future__ import annotations

from pathlib import Path

from tests.conftest import streamrec
from training.run_folder import STEPS


def test_an_unchanged_bundle_is_left_alone(trained: Path, bundle: Path) -> None:
    before = (bundle / "manifest.json").stat().st_mtime_ns
    result = streamrec("export", trained, "--bundle", bundle)
    assert result.exit_code == 0
    assert "unchanged, skipped" in result.stderr
    assert (bundle / "manifest.json").stat().st_mtime_ns == before


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
