from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from tests.conftest import streamrec
from training.run import Run


def evaluate(*arguments: object) -> Result:
    """The command on one core, unless the arguments say more."""
    return streamrec("evaluate", "--threads", 1, *arguments)


METRICS = {"recall@5", "recall@10", "ndcg@5", "ndcg@10"}


def test_json_holds_every_figure_of_every_step(trained: Path) -> None:
    result = evaluate(trained, "--split", "test", "--json")
    content = json.loads(result.stdout)
    assert (content["split"], content["stage"]) == ("test", "stage3")
    assert list(content["figures"]) == ["0 steps", "1 step", "2 steps"]
    for figures in content["figures"].values():
        kept = {f"{name} seen kept" for name in METRICS}
        assert set(figures) == METRICS | kept | {"coverage", "popularity"}
        assert all(0 <= figures[name] <= 1 for name in METRICS | kept)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_final_figures_are_those_of_the_summary(trained: Path, threads: int) -> None:
    result = evaluate(trained, "--json", "--threads", threads)
    figures = json.loads(result.stdout)["figures"]
    summary = json.loads((trained / "summary.json").read_text())
    for steps, known in summary["stage3"]["answer"].items():
        assert figures[steps] == pytest.approx(figures[steps] | known)


def test_deliberation_is_loaded_as_it_was_trained(trained: Path) -> None:
    """What the learning of deliberation measured last is what evaluation finds."""
    steps = json.loads(evaluate(trained, "--stage", "stage2_deliberate", "--json").stdout)
    record = json.loads((trained / "stage2_deliberate" / "step.json").read_text())
    best = max(epoch["metrics"]["objective"] for epoch in record["metrics"]["history"])
    assert steps["figures"]["1 step"]["ndcg@10"] == pytest.approx(best, abs=0.05)


def test_fresh_evidence_knows_the_validation_items_and_nothing_later(trained: Path) -> None:
    run = Run.open(trained)
    fresh = run.knowing(run.sequences.without_newest(1))
    added = fresh.items.evidence.popularity - run.items.evidence.popularity
    validation = np.bincount(run.sequences.holdout("valid").targets, minlength=len(run.catalog))
    assert added.tolist() == validation.tolist()
    plain = evaluate(trained, "--split", "test", "--json")
    found = evaluate(trained, "--split", "test", "--fresh-evidence", "--json")
    assert json.loads(found.stdout)["figures"] != json.loads(plain.stdout)["figures"]


def test_the_table_fits_a_terminal(trained: Path) -> None:
    result = evaluate(trained, "--stage", "stage1")
    assert "after stage1" in result.stdout
    assert "…" not in result.stdout


def test_a_run_in_training_says_what_its_figures_lack(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "stage3" / "step.json").unlink()
    result = evaluate(run, "--json")
    assert json.loads(result.stdout)["stage"] == "stage2_finetune"
    assert "not trained to the end" in result.stderr
    assert "after stage2_finetune, before stage3" in result.stderr
    assert "not trained" not in evaluate(trained, "--json").stderr


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    result = evaluate(tmp_path)
    assert result.exit_code == 1
    assert "streamrec train" in result.stderr


def test_an_unknown_stage_is_wrong_usage(trained: Path) -> None:
    assert evaluate(trained, "--stage", "prepare").exit_code == 2
