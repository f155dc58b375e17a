"""What a person sees: results on stdout, progress and remarks on stderr."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
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
    """Bars for work that takes longer than two seconds; remarks appear above them."""
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
