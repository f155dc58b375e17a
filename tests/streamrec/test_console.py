"""Progress where nobody watches a terminal."""

from __future__ import annotations

import pytest

from streamrec.console import ProgressLines, progress_bars


def test_a_pipe_gets_one_plain_line_as_a_task_ends(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as bars:
        assert isinstance(bars, ProgressLines)
        task = bars.add_task("stage 1", total=1_000)
        for done in range(1, 1_001):
            bars.update(task, completed=done, description=f"stage 1  N@10 {done / 1e4:.4f}")
        bars.update(task, total=1_000, completed=1_000)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "stage 1  N@10 0.1000: 1,000 of 1,000 after 0 s\n")


def test_a_pipe_hears_of_long_work_before_its_end(capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressLines(every=0) as bars:
        task = bars.add_task("users", total=None)
        bars.advance(task, 500)
    assert capfd.readouterr().err == "users: 500 after 0 s\n"
