from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from model_export.contract.errors import RunError
from training import run_folder
from training.run_folder import RunFolder
from training.steps import StepName


class Steps:
    """Runs steps of a run directory and writes down what happened."""

    def __init__(self, path: Path) -> None:
        self.said: list[str] = []
        self.folder = RunFolder(path, self.said.append)

    def do(
        self, step: StepName, settings: Any, needs: list[StepName], *, fail: bool = False
    ) -> str:
        """Run one step; returns how it went: started, resumed or skipped."""

        def work(folder: Path) -> dict[str, Any]:
            with (folder / "work.txt").open("a") as file:
                file.write("x")
            if fail:
                raise KeyboardInterrupt
            return {"ndcg@10": 0.5}

        with suppress(KeyboardInterrupt):
            self.folder.do(step, settings, needs, work)
        return self.said[-1].split()[-1]

    def times_worked(self, step: StepName) -> int:
        """Calls of the step's work since its folder was last cleared."""
        return len((self.folder.folder(step) / "work.txt").read_text())


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps(tmp_path / "run")


def test_a_step_runs_once(steps: Steps) -> None:
    assert steps.do("prepare", {"a": 1}, []) == "started"
    assert steps.do("prepare", {"a": 1}, []) == "skipped"
    assert steps.times_worked("prepare") == 1
    record = steps.folder.record("prepare")
    assert record["metrics"] == {"ndcg@10": 0.5}
    assert record["settings"] == {"a": 1}
    assert record["seconds"] >= 0
    assert steps.folder.finished("prepare")
    files = {path.name for path in steps.folder.folder("prepare").iterdir()}
    assert files == {"work.txt", "step.json"}


def test_a_step_is_not_thrown_away_because_its_record_cannot_be_read(steps: Steps) -> None:
    steps.do("prepare", {"a": 1}, [])
    record = steps.folder.folder("prepare") / "step.json"
    record.unlink()
    record.symlink_to(record)  # refused by the system, as for want of rights
    with pytest.raises(OSError, match="symbolic links"):
        steps.do("prepare", {"a": 1}, [])
    assert steps.times_worked("prepare") == 1


def test_an_interrupted_step_goes_on_from_its_folder(steps: Steps) -> None:
    assert steps.do("prepare", {"a": 1}, [], fail=True) == "started"
    assert not steps.folder.finished("prepare")
    assert steps.do("prepare", {"a": 1}, []) == "resumed"
    assert steps.times_worked("prepare") == 2
    assert steps.do("prepare", {"a": 1}, []) == "skipped"


def test_an_interrupted_step_with_other_settings_starts_anew(steps: Steps) -> None:
    steps.do("prepare", {"a": 1}, [], fail=True)
    assert steps.do("prepare", {"a": 2}, []) == "started"
    assert steps.times_worked("prepare") == 1


def test_other_settings_throw_the_old_result_away(steps: Steps) -> None:
    steps.do("prepare", {"a": 1}, [])
    assert steps.do("prepare", {"a": 2}, [], fail=True) == "started"
    assert steps.times_worked("prepare") == 1
    assert not steps.folder.finished("prepare")


def test_a_changed_step_invalidates_all_that_came_of_it(steps: Steps) -> None:
    def run(first: int) -> list[str]:
        return [
            steps.do("prepare", {"a": first}, []),
            steps.do("items", {}, ["prepare"]),
            steps.do("stage1", {}, ["items"]),
        ]

    assert run(1) == ["started"] * 3
    assert run(1) == ["skipped"] * 3
    assert run(2) == ["started"] * 3


def test_a_later_result_does_not_outlive_what_it_was_made_from(steps: Steps) -> None:
    """`train --stage prepare` with other settings must not leave an old stage 1 to be served."""
    steps.do("prepare", {"a": 1}, [])
    steps.do("stage1", {}, ["prepare"])
    steps.do("prepare", {"a": 2}, [])
    assert not steps.folder.finished("stage1")
    assert steps.do("stage1", {}, ["prepare"]) == "started"
    assert steps.times_worked("stage1") == 1


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        ({"a": 1, "b": {"c": 1}}, {"a": 1, "b": {"c": 2}}, "b.c changed"),
        ([{"a": 1, "b": 1}, {"a": 1}], [{"a": 1}, {"a": 2}], "a, b changed"),
        ([{"a": 1}, 7], [{"a": 1}, 8], "a setting changed"),
    ],
)
def test_why_a_step_is_repeated_is_said(steps: Steps, before: Any, now: Any, reason: str) -> None:
    steps.do("prepare", before, [])
    assert steps.said[-1] == "prepare: started"
    steps.do("prepare", now, [])
    assert steps.said[-1] == f"prepare: {reason}, started"


def test_another_version_of_the_code_is_a_reason(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.do("prepare", {"a": 1}, [])
    monkeypatch.setattr(run_folder, "CODE_VERSION", run_folder.CODE_VERSION + 1)
    steps.do("prepare", {"a": 1}, [])
    assert steps.said[-1] == "prepare: the code changed, started"


def test_a_changed_step_leaves_the_earlier_ones(steps: Steps) -> None:
    steps.do("prepare", {"a": 1}, [])
    steps.do("items", {"b": 1}, ["prepare"])
    assert steps.do("items", {"b": 2}, ["prepare"]) == "started"
    assert steps.do("prepare", {"a": 1}, []) == "skipped"


def test_a_step_needs_what_it_is_made_from(steps: Steps) -> None:
    with pytest.raises(RunError, match="no finished step 'items'"):
        steps.do("stage1", {}, ["items"])
    assert not steps.folder.folder("stage1").exists()


def test_a_damaged_record_is_refused(steps: Steps) -> None:
    steps.do("prepare", {}, [])
    (steps.folder.folder("prepare") / "step.json").write_text("{")
    with pytest.raises(RunError, match="streamrec train"):
        steps.folder.record("prepare")


def test_damage_to_what_was_begun_is_told_with_the_folder_to_delete(steps: Steps) -> None:
    steps.do("prepare", {}, [], fail=True)
    folder = steps.folder.folder("prepare")
    (folder / "begun.json").write_text("{")
    with pytest.raises(RunError, match=rf"begun.json is damaged .*; delete {folder} and train"):
        steps.do("prepare", {}, [])
    assert steps.times_worked("prepare") == 1


def test_records_are_readable(steps: Steps) -> None:
    steps.do("prepare", {"a": 1}, [])
    text = (steps.folder.folder("prepare") / "step.json").read_text()
    assert set(json.loads(text)) == {"fingerprint", "seconds", "settings", "metrics"}
    assert len(text.splitlines()) > 5


def test_a_second_trainer_is_locked_out_until_the_first_ends(tmp_path: Path) -> None:
    path = tmp_path / "run"
    code = (
        "from pathlib import Path; from training.run_folder import RunFolder\n"
        f"with RunFolder(Path({str(path)!r})).locked(): print('in', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "in\n"
        locked_out = pytest.raises(RunError, match=r"another process is training in .*run; wait")
        with locked_out, RunFolder(path).locked():
            pass
        other.communicate("\n")
    with RunFolder(path).locked():
        (path / "kept").touch()
    assert path.is_dir()


def test_a_bundle_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").touch()
    refused = pytest.raises(RunError, match=r"is a bundle, .* give another --run")
    with refused, RunFolder(tmp_path).locked():
        pass


def test_an_empty_directory_does_not_stay_behind(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run").locked():
        pass
    assert not (tmp_path / "run").exists()
