from __future__ import annotations

import pytest
from rich.console import Console
from rich.table import Table

from streamrec.tables import figures_table, stages_table
from training.summary import StageSummary

METRICS = ("recall@5", "ndcg@5", "recall@10", "ndcg@10")
FIGURES = {
    f"{steps} steps": {
        **{f"{name}{seen}": 0.1234 for name in METRICS for seen in ("", " seen kept")},
        "coverage": 1.0,
        "popularity": 12345.6,
    }
    for steps in range(5)
}


@pytest.mark.parametrize(
    "table",
    [
        figures_table(FIGURES, "run, test, after stage3"),
        stages_table({"stage2_deliberate": StageSummary("f", 3600.0, FIGURES, FIGURES)}),
    ],
    ids=["figures", "stages"],
)
def test_no_figure_is_cut_off_in_80_columns(table: Table) -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    assert "…" not in capture.get()
    assert capture.get().count("0.1234") >= 10
