"""Findings as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_STATE = {True: "", False: "**broken:** ", None: ""}


def markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """One row a drill."""
    lines = ["| fault or attack | promise | tested by | measured |", "|---|---|---|---|"]
    for row in rows:
        cells = (
            row["fault"],
            row["promise"],
            row["tested"],
            _STATE[row["held"]] + row["figure"],
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
