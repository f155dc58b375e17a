"""Figures and runs as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from training.run_folder import RunFolder
from training.steps import STEPS

if TYPE_CHECKING:
    from training.evaluate import Figures
    from training.summary import Summary

CUTOFFS = (5, 10)
FIGURES = (
    "R: Recall, N: NDCG, seen: items of the history, coverage: share of the catalogue in somebody's top 10, "
    "popularity: mean interactions of what is shown"
)


def figures_table(figures: Mapping[str, Figures], title: str) -> Table:
    """Two rows, seen items left out and kept, for every number of reasoning steps."""
    table = Table("", "seen", title=title, caption=FIGURES)
    for name in (*(f"{metric}@{k}" for k in CUTOFFS for metric in "RN"), "coverage", "popularity"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in figures.items():
        for seen, suffix in (("out", ""), ("kept", " seen kept")):
            ranking = [
                f"{row[f'{metric}@{k}{suffix}']:.4f}"
                for k in CUTOFFS
                for metric in ("recall", "ndcg")
            ]
            shown = [] if suffix else [f"{row['coverage']:.1%}", f"{row['popularity']:.1f}"]
            table.add_row("" if suffix else name, seen, *ranking, *shown, end_section=bool(suffix))
    return table


def stages_table(summary: Summary) -> Table:
    """NDCG@10 on validation after each stage and reasoning step, and the time of each stage."""
    table = Table(
        title="Validation NDCG@10 by reasoning steps, seen items left out",
        caption="network: ranked by its state alone; answer: with all that a request gets",
    )
    for name in ("after", "by"):
        table.add_column(name, no_wrap=True)
    for steps in next(iter(summary.values())).answer:
        table.add_column(steps.split()[0], justify="right", no_wrap=True)
    for name, stage in summary.items():
        network = [f"{row['ndcg@10']:.4f}" for row in stage.network.values()]
        answer = [f"{row['ndcg@10']:.4f}" for row in stage.answer.values()]
        table.add_row(name, "network", *network)
        table.add_row(f"  in {_minutes(stage.seconds)}", "answer", *answer, end_section=True)
    return table


def run_table(path: Path) -> Table:
    """How far a run has come, and what each step found."""
    folder = RunFolder(path)
    about = folder.about()
    caption = f"{about.interactions} + {about.items or 'no items file'}"
    table = Table(
        "step", "time", "what came of it",
        title=f"Run {path}, seed {about.seed}", caption=caption,
    )  # fmt: skip
    for step in STEPS:
        if folder.finished(step):
            record = folder.record(step)
            table.add_row(step, _minutes(record["seconds"]), _outcome(record["metrics"]))
        else:
            table.add_row(step, "", "[dim]not finished[/dim]")
    return table


def _outcome(metrics: Mapping[str, Any]) -> str:
    """The telling part of a step's metrics in a few words."""
    if "users" in metrics:
        return (
            f"{metrics['interactions']:,} interactions, {metrics['users']:,} users, "
            f"{metrics['items']:,} items"
        )
    if "usage" in metrics:
        levels, codes = metrics["codes"]
        used = ", ".join(str(level["used"]) for level in metrics["usage"])
        return f"{levels} levels of {codes} codes, used: {used}"
    if "distance" in metrics:
        return "distance to the target: " + " → ".join(f"{d:.3f}" for d in metrics["distance"])
    history = metrics["history"]
    if not history:
        return "nothing to learn"
    best = max(record["metrics"]["objective"] for record in history)
    return f"best validation NDCG@10 {best:.4f}"


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
