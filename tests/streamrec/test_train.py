"""`streamrec train` on a tiny shop: what it leaves, skips, resumes and refuses."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.blocked_imports import blocking
from tests.conftest import streamrec, train
from training.run import Run
from training.steps import STEPS

PROGRAM = Path(sys.executable).with_name("streamrec")


def test_the_table_shows_every_stage_and_step(shop: Path, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    result = train(shop, tmp_path / "run")
    assert result.exit_code == 0
    stages = ("stage1", "stage2_deliberate", "stage2_finetune", "stage3")
    places = [result.stdout.index(stage) for stage in stages]
    assert places == sorted(places)
    assert "…" not in result.stdout


def test_the_network_is_fine_tuned_on_what_deliberation_expects(trained: Path) -> None:
    run = Run.open(trained)
    assert run.expected
    starts = run.training.offsets[:-1]
    targets = np.setdiff1d(np.arange(len(run.training.items)), starts)
    candidates, shares = run.expected(torch.from_numpy(targets))
    assert candidates.shape[1] == run.config.deliberation.candidates
    torch.testing.assert_close(shares.sum(1), torch.full((len(targets),), 0.5))
    _, elsewhere = run.expected(torch.from_numpy(starts))
    assert not elsewhere.any()


def test_what_is_unchanged_is_skipped_and_said_so(
    shop: Path, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    weights = run / "stage3" / "best.safetensors"
    before = weights.stat().st_mtime_ns
    result = train(shop, run)
    for step in STEPS:
        assert f"{step}: unchanged, skipped" in result.stderr
    assert weights.stat().st_mtime_ns == before


def test_a_changed_setting_repeats_only_what_depends_on_it(
    shop: Path, trained: Path, tmp_path: Path
) -> None:
    run, config = tmp_path / "run", tmp_path / "config.toml"
    shutil.copytree(trained, run)
    config.write_text(
        (shop / "config.toml").read_text().replace("[stage3]\nsteps = 4", "[stage3]\nsteps = 2")
    )
    result = train(shop, run, "--config", config)
    assert "stage2_deliberate: unchanged, skipped" in result.stderr
    assert "stage3: steps changed, started" in result.stderr


def test_changed_inputs_are_named_as_the_reason(shop: Path, trained: Path, tmp_path: Path) -> None:
    run, more = tmp_path / "run", tmp_path / "interactions.csv"
    shutil.copytree(trained, run)
    more.write_text((shop / "interactions.csv").read_text() + "user-0,item-1,1\n")
    result = streamrec(
        "train", "--interactions", more, "--items", shop / "items.csv",
        "--config", shop / "config.toml", "--run", run, "--stage", "items", "--threads", 1,
    )  # fmt: skip
    assert "prepare: interactions changed, started" in result.stderr
    assert "items: started" in result.stderr


@pytest.mark.parametrize(
    ("step", "file"),
    [
        ("prepare", "catalog.jsonl"),
        ("prepare", "items.npy"),
        ("items", "codes.npy"),
        ("items", "tokenizer/codebooks.npy"),
        ("stage2_deliberate", "best.safetensors"),
        ("stage3", "best.safetensors"),
    ],
)
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_damage_is_told_with_the_folder_to_delete(
    trained: Path, tmp_path: Path, step: str, file: str, damage: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    damaged = run / step / file
    if damage == "cut":
        os.truncate(damaged, damaged.stat().st_size // 2)
    else:
        damaged.unlink()
    result = streamrec("export", run, "--bundle", tmp_path / "bundle")
    assert result.exit_code == 1
    assert f"; delete {run / step} and train again" in result.stderr
    assert not (tmp_path / "bundle").exists()


def test_damage_is_mended_by_what_the_sentence_says(
    shop: Path, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    shutil.rmtree(run / "stage3")
    assert "stage3: started" in train(shop, run).stderr
    weights = Path("stage3") / "best.safetensors"
    assert filecmp.cmp(trained / weights, run / weights, shallow=False)


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"stage3": {}}', b"\xff"])
def test_a_damaged_record_of_the_run_is_told_with_what_to_do(
    shop: Path, trained: Path, tmp_path: Path, content: str | bytes
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    damaged = content if isinstance(content, bytes) else content.encode()
    (run / "run.json").write_bytes(damaged)
    for command in (["info", run], ["evaluate", run], ["export", run, "--bundle", tmp_path / "b"]):
        said = streamrec(*command).stderr
        assert said.startswith(f"error: {run / 'run.json'} is damaged (")
        assert said.endswith("); train again\n")
    (run / "summary.json").write_bytes(damaged)
    result = train(shop, run)  # which writes run.json anew
    if content != "{}":
        assert (
            f"{run / 'summary.json'} is damaged; delete it, and `streamrec train`" in result.stderr
        )
        (run / "summary.json").unlink()
        result = train(shop, run)
    assert result.exit_code == 0, result.stderr
    for file in ("run.json", "summary.json"):
        assert filecmp.cmp(trained / file, run / file, shallow=False)


def test_a_step_with_a_damaged_record_is_unfinished(
    shop: Path, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "stage3" / "step.json").write_text("{")
    result = train(shop, run)
    assert result.exit_code == 0
    assert "stage2_deliberate: unchanged, skipped" in result.stderr
    assert "stage3: started" in result.stderr


def test_deliberation_that_does_not_help_is_said(shop: Path, trained: Path, tmp_path: Path) -> None:
    run, config = tmp_path / "run", tmp_path / "config.toml"
    shutil.copytree(trained, run)
    hopeless = "[deliberate]\nlearning_rate = 1e-9"
    config.write_text((shop / "config.toml").read_text().replace("[deliberate]", hopeless))
    result = train(shop, run, "--config", config, "--stage", "stage2_deliberate")
    assert "deliberation did not beat the mix on validation" in result.stderr


def test_the_report_holds_every_step_and_needs_no_other_file(trained: Path) -> None:
    page = (trained / "report.html").read_text(encoding="utf-8")
    for step in STEPS:
        assert f"<h2>{step} (" in page
    assert page.count("<svg") == 7
    assert 'src="' not in page


def test_an_interrupted_training_ends_with_the_same_weights(shop: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    longer = "[stage1.optim]\nepochs = 12\npatience = 12"
    config.write_text(
        (shop / "config.toml").read_text().replace("[stage1.optim]\nepochs = 3", longer)
    )

    def command(run: str) -> list[str]:
        return [
            str(PROGRAM), "train", "--interactions", str(shop / "interactions.csv"),
            "--config", str(config), "--run", str(tmp_path / run), "--stage", "stage1",
            "--threads", "1",
        ]  # fmt: skip

    process = subprocess.Popen(command("interrupted"), stderr=subprocess.PIPE, text=True)
    progress = tmp_path / "interrupted" / "stage1" / "progress.safetensors"
    while not progress.is_file():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert not (tmp_path / "interrupted" / "stage1" / "step.json").exists()

    resumed = subprocess.run(command("interrupted"), check=True, capture_output=True, text=True)
    assert "stage1: resumed" in resumed.stderr
    subprocess.run(command("whole"), check=True, capture_output=True)
    ours, theirs = (
        (tmp_path / run / "stage1" / "best.safetensors").read_bytes()
        for run in ("interrupted", "whole")
    )
    assert ours == theirs


def test_behaviour_alone_can_be_learnt_from(shop: Path, tmp_path: Path) -> None:
    result = streamrec(
        "train", "--interactions", shop / "interactions.csv", "--config", shop / "config.toml",
        "--run", tmp_path / "run", "--stage", "stage1", "--threads", 1,
    )  # fmt: skip
    assert result.exit_code == 0
    assert set(json.loads((tmp_path / "run" / "summary.json").read_text())) == {"stage1"}


def broken_interactions(folder: Path) -> Path:
    path = folder / "interactions.csv"
    path.write_text("user_id,item_id,timestamp\nu1,item-1,1\nu2,item-2,yesterday\n")
    return path


def test_wrong_input_is_one_sentence_and_nothing_is_written(tmp_path: Path) -> None:
    broken, run = broken_interactions(tmp_path), tmp_path / "run"
    result = streamrec("train", "--interactions", broken, "--run", run)
    assert result.exit_code == 1
    for said in ("interactions.csv", "row 3", "timestamp"):
        assert said in result.stderr
    assert not run.exists()


def test_wrong_input_leaves_a_trained_run_as_it_was(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    for path in (broken_interactions(tmp_path), tmp_path / "mistyped.csv"):
        assert streamrec("train", "--interactions", path, "--run", run).exit_code == 1
    assert filecmp.cmp(trained / "run.json", run / "run.json", shallow=False)
    assert streamrec("evaluate", run, "--json").exit_code == 0


def test_wrong_settings_are_all_named(shop: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[model]\nwidth = 3\n[stage3]\ngroup = 1\n")
    result = train(shop, tmp_path / "run", "--config", config)
    assert result.exit_code == 1
    assert "model.width" in result.stderr
    assert "stage3.group" in result.stderr


def test_an_unknown_stage_is_wrong_usage(shop: Path, tmp_path: Path) -> None:
    result = train(shop, tmp_path / "run", "--stage", "stage9")
    assert result.exit_code == 2
    assert "stage2_annotate" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--stage", "stage9"), "stage2_annotate"),
        (("--device", "tpu"), "auto, cpu, cuda"),
        (("--config", "none.toml"), "none.toml cannot be read"),
        (("--items", "none.csv"), "none.csv cannot be read"),
        (("--items", "items.xlsx"), "items.xlsx has an unknown extension"),
    ],
)
def test_wrong_arguments_are_told_before_torch_is_loaded(
    shop: Path, tmp_path: Path, arguments: tuple[str, str], said: str
) -> None:
    without_torch = blocking(tmp_path, ["torch"])
    command = ["train", "--interactions", str(shop / "interactions.csv"), "--run", "run"]
    refused = subprocess.run(
        [str(PROGRAM), *command, *arguments],
        cwd=tmp_path, env=os.environ | without_torch, capture_output=True, text=True,
    )  # fmt: skip
    assert refused.returncode
    assert said in refused.stderr
    assert "torch" not in refused.stderr
    assert not (tmp_path / "run").exists()
