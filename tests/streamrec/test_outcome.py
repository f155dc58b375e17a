"""How commands end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import training.data.sample_shop
from model_export.contract.errors import DataError
from tests.conftest import streamrec

COMMANDS = ("sample-data", "train", "evaluate", "export", "info", "load-histories", "serve")
PROGRAM = Path(sys.executable).with_name("streamrec")


def unwrapped(said: str) -> str:
    """What a box of lines says."""
    return " ".join(said.replace("│", " ").split())


def fail(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let `streamrec sample-data` fail."""

    def raise_it(*_: object) -> None:
        raise error

    monkeypatch.setattr(training.data.sample_shop, "write_sample_shop", raise_it)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_example(command: str) -> None:
    result = streamrec(command, "--help")
    assert result.exit_code == 0
    assert f"streamrec {command}" in result.output.split("Example", 1)[1]


def test_no_command_shows_them_all() -> None:
    result = streamrec()
    assert all(command in result.output for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments", [["train"], ["polish"], ["info"], ["evaluate", "run", "--split", "best"]]
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    result = streamrec(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_wrong_usage_is_told_without_the_words_of_a_library() -> None:
    said = unwrapped(streamrec("evaluate", "run", "--split", "best").stderr)
    assert "Invalid value for '--split': 'best' is not one of 'valid', 'test'" in said


def test_an_expected_failure_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, DataError("items.csv, row 7: no item_id"))
    result = streamrec("sample-data", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: items.csv, row 7: no item_id\n"


def test_a_system_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "shop" / "items.csv").mkdir(parents=True)
    result = streamrec("sample-data", tmp_path / "shop")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {tmp_path / 'shop'}/")
    assert result.stderr.endswith(": Is a directory\n")


@pytest.mark.parametrize("wanted", ["taken", "taken/deeper"])
@pytest.mark.parametrize(
    "command",
    [
        ["sample-data"],
        ["train", "--interactions", "events.csv", "--run"],
        ["export", "run", "--bundle"],
    ],
    ids=lambda command: command[0],
)
def test_a_file_in_the_way_of_a_folder_is_named_before_anything_is_loaded(
    tmp_path: Path, command: list[str], wanted: str, without_heavy: dict[str, str]
) -> None:
    (tmp_path / "taken").write_text("")
    result = subprocess.run(
        [PROGRAM, *command, wanted], cwd=tmp_path, env=os.environ | without_heavy,
        text=True, capture_output=True,
    )  # fmt: skip
    assert result.returncode == 2
    assert "taken is a file; remove it, or name another folder" in unwrapped(result.stderr)


def test_a_surprise_is_a_sentence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, ValueError("odd"))
    result = streamrec("sample-data", "out")
    assert result.exit_code == 1
    assert "ValueError: odd" in result.stderr
    assert "STREAMREC_DEBUG=1" in result.stderr


def test_debugging_shows_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREC_DEBUG", "1")
    fail(monkeypatch, ValueError("odd"))
    assert isinstance(streamrec("sample-data", "out").exception, ValueError)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, ModuleNotFoundError("No module named 'torch'", name="torch"))
    said = streamrec("sample-data", "out").stderr
    assert "'torch', which is not installed; pip install 'stream-rec[training]'" in said


@pytest.mark.parametrize(
    ("module", "remedy"),
    [
        ("sklearn.cluster", "'stream-rec[training]'"),
        ("onnxruntime", "'stream-rec[cpu]'"),
        ("fastapi", "'stream-rec[service]'"),
        ("odd_one", "pip install odd-one"),
    ],
)
def test_a_missing_package_comes_with_an_extra(
    monkeypatch: pytest.MonkeyPatch, module: str, remedy: str
) -> None:
    fail(monkeypatch, ModuleNotFoundError("missing", name=module))
    assert remedy in streamrec("sample-data", "out").stderr


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, KeyboardInterrupt())
    result = streamrec("sample-data", "out")
    assert result.exit_code == 130
    assert "the same command goes on" in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_needs_nothing_heavy(arguments: list[str], without_heavy: dict[str, str]) -> None:
    subprocess.run(
        [PROGRAM, *arguments], env=os.environ | without_heavy, check=True, capture_output=True
    )


def test_training_without_torch_says_what_is_missing(without_heavy: dict[str, str]) -> None:
    result = subprocess.run(
        [PROGRAM, "evaluate", "run"],
        env=os.environ | without_heavy, text=True, capture_output=True,
    )  # fmt: skip
    assert result.returncode == 1
    assert "torch" in result.stderr
    assert "Traceback" not in result.stderr
