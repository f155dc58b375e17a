"""One command works on all cores: processes that find each other, share the work and end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model_export.contract.errors import DataError, RunError
from tests.system_processes import runs
from training import distributed
from training.cores import MOST_PROCESSES, Seat, on_cores


def whereabouts(folder: Path) -> tuple[float, int]:
    """Sum of the numbers of all processes, and how many these are."""
    (folder / str(distributed.rank())).write_text(str(os.getpid()))
    return distributed.total([float(distributed.rank())])[0], distributed.count()


@pytest.mark.parametrize(("cores", "sum_of_ranks"), [(1, 0.0), (2, 1.0), (3, 3.0)])
def test_each_core_has_a_process(cores: int, sum_of_ranks: float, tmp_path: Path) -> None:
    assert on_cores(cores, "cpu", whereabouts, tmp_path) == (sum_of_ranks, cores)
    assert {file.name for file in tmp_path.iterdir()} == set(map(str, range(cores)))
    assert int((tmp_path / "0").read_text()) == os.getpid()
    assert distributed.count() == 1


def work_apart() -> tuple[int, int, list[int]]:
    """Number and count of a process by itself, and what all of them have afterwards."""
    with distributed.apart():
        distributed.wait()
        alone = distributed.rank(), distributed.count()
    return *alone, distributed.gathered(distributed.rank())


def test_a_process_may_work_apart_for_a_while() -> None:
    assert on_cores(2, "cpu", work_apart) == (0, 1, [0, 1])


def fail(rank: int, error: Exception) -> None:
    """In one process, while the other waits for it."""
    if distributed.rank() == rank:
        raise error
    distributed.wait()


@pytest.mark.parametrize("error", [DataError("row 3 is wrong"), RuntimeError("a defect")])
def test_what_went_wrong_in_the_first_process_is_raised(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        on_cores(2, "cpu", fail, 0, error)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (DataError("row 3 is wrong"), RunError, "^row 3 is wrong$"),
        (OSError(28, "no space left"), RunError, "^no space left$"),
        (ValueError("a defect"), RuntimeError, "(?s)in process 1: Traceback.*a defect"),
    ],
)
def test_what_went_wrong_first_in_another_is_told(
    error: Exception, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        on_cores(2, "cpu", fail, 1, error)


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 5, 7, 64])
def test_every_core_has_a_thread(cores: int, tmp_path: Path) -> None:
    count = min(cores, MOST_PROCESSES)
    assert sum(Seat(tmp_path, cores, rank, count).threads for rank in range(count)) == cores


def be_killed() -> None:
    """As when the system lacks memory, while the first process waits for the others."""
    if not distributed.is_first():
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.wait()


def test_a_killed_process_is_told_in_a_sentence() -> None:
    with pytest.raises(RunError, match=r"ended by SIGKILL.* --threads 1"):
        on_cores(2, "cpu", be_killed)


def work_on(folder: Path) -> None:
    """Without end, after a file has told that it has begun."""
    whereabouts(folder)
    while True:
        distributed.wait()


@pytest.mark.parametrize(
    ("number", "of_all"), [("SIGINT", True), ("SIGINT", False), ("SIGKILL", False)]
)
def test_no_process_is_left_behind(number: str, of_all: bool, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from tests.training.test_cores import work_on;"
        f"from training.cores import on_cores; on_cores(2, 'cpu', work_on, Path({str(tmp_path)!r}))"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", program], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    while len(list(tmp_path.iterdir())) < 2:
        assert first.poll() is None
        time.sleep(0.02)
    (os.killpg if of_all else os.kill)(first.pid, signal.Signals[number])
    try:
        _, said = first.communicate(timeout=60)
    finally:
        first.kill()
    assert not said or said.endswith("KeyboardInterrupt\n")
    deadline = time.monotonic() + 60
    while runs(-first.pid):
        assert time.monotonic() < deadline, "a process outlives the first one"
        time.sleep(0.02)
