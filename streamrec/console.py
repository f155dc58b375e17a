"""What a person sees: results on stdout, progress and remarks on stderr."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

OUT = Console()
REMARKS = Console(stderr=True, highlight=False)


def remark(line: str) -> None:
    """Tell the user something that is not the result."""
    REMARKS.print(line, markup=False, soft_wrap=True)


def progress_bars(*, shown: bool = True) -> Progress:
    """Progress of work that takes longer than two seconds: bars below the remarks, or plain lines."""
    if shown and not REMARKS.is_terminal:
        return ProgressLines()
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=REMARKS,
        disable=not shown,
    )


class ProgressLines(Progress):
    """Progress for a file or a pipe: one line as a task ends, and one every `every` seconds until then."""

    def __init__(self, every: float = 60) -> None:
        super().__init__(disable=True)
        self._every = every
        self._told = time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """As `Progress.update`."""
        finished = self._tasks[task_id].finished
        super().update(task_id, **changes)
        self._tell(task_id, finished)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """As `Progress.advance`."""
        finished = self._tasks[task_id].finished
        super().advance(task_id, advance)
        self._tell(task_id, finished)

    def _tell(self, task_id: TaskID, finished: bool) -> None:
        task = self._tasks[task_id]
        ends = task.finished and not finished
        if ends or time.monotonic() - self._told >= self._every:
            of = "" if task.total is None else f" of {int(task.total):,}"
            remark(
                f"{task.description}: {int(task.completed):,}{of} after {task.elapsed or 0:,.0f} s"
            )
            self._told = time.monotonic()
