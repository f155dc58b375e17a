"""The table of docs/reliability.md and the drills behind it; the drills themselves take minutes."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from benchmarks.resilience import drills  # noqa: F401 - registers them
from benchmarks.resilience.client import Http
from benchmarks.resilience.drill import DRILLS, Finding, SkippedError
from benchmarks.resilience.drills.durability import Ledger
from benchmarks.resilience.drills.suites import ROWS
from benchmarks.resilience.processes import RedisServer, redis_program, slow_wire
from benchmarks.resilience.report import markdown

ROOT = Path(__file__).parent.parent.parent


def test_the_document_has_a_row_for_every_drill() -> None:
    document = (ROOT / "docs" / "reliability.md").read_text()
    for each in DRILLS.values():
        assert f"| {each.fault} | {each.promise} |" in document, each.name


@pytest.mark.parametrize("paths", [row[2] for row in ROWS.values()], ids=ROWS)
def test_the_tests_that_a_row_names_are_there(paths: str) -> None:
    for path in paths.split():
        assert (ROOT / path.partition("::")[0]).is_file()


def test_an_installed_redis_server_is_taken_for_the_wheels_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it beside the interpreter, as in a system without virtual environments."""
    monkeypatch.setenv("PATH", "")
    of_the_wheel = redis_program()
    with pytest.raises(SkippedError):
        redis_program(tls=True)
    for name, program in (("copy", of_the_wheel), ("own", "/bin/sh")):
        (tmp_path / name).mkdir()
        shutil.copy(program, tmp_path / name / "redis-server")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "own" / "python"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'copy'}{os.pathsep}{tmp_path / 'own'}")
    assert redis_program(tls=True) == str(tmp_path / "own" / "redis-server")


def test_a_broken_promise_and_a_skipped_drill_are_said() -> None:
    drill = next(iter(DRILLS.values()))
    text = markdown([drill.row(Finding(False, "a|b")), drill.row(None, "skipped: needs root")])
    assert "**broken:** a\\|b" in text
    assert text.splitlines()[-1].endswith("| skipped: needs root |")


@pytest.mark.parametrize(
    ("stored", "figures"),
    [
        (["a", "b", "c"], (0, 0, 0)),
        (["a", "c"], (1, 0, 0)),
        (["a", "b", "b", "c"], (0, 1, 0)),
        (["b", "a", "c"], (0, 0, 1)),
    ],
)
def test_a_ledger_sees_what_is_lost_doubled_or_out_of_order(
    tmp_path: Path, stored: list[str], figures: tuple[int, int, int]
) -> None:
    with RedisServer(tmp_path) as server:
        with server.client() as client:
            client.rpush("streamrec:{u}:history", *(f'["{item}",1]' for item in stored))
        finding = Ledger({"u": ["a", "b", "c"]}).compare(server.client, crashes=1)
    details = finding.details
    assert (details["lost"], details["doubled"], details["users_out_of_order"]) == figures
    assert finding.held is (figures == (0, 0, 0))


def test_a_wire_is_as_slow_as_it_is_told(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, slow_wire(server.port) as wire:
        server.port = wire.port
        wire.delay = 0.2
        with server.client() as client:
            began = time.monotonic()
            assert client.ping()
            assert time.monotonic() - began >= 0.2


def test_a_connection_that_fails_is_an_answer() -> None:
    assert asyncio.run(Http(1).ask("GET", "/livez")).status == 0
