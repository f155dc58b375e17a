"""report.html of a run: the curves of every stage, figures per reasoning step, use of the codes."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model_export.contract.files import atomic_path
from training.run import Run
from training.steps import STEPS
from training.summary import Summary

Curves = Mapping[str, Sequence[float]]

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
td,th{padding:.2rem .8rem;text-align:right}td:first-child,th:first-child{text-align:left}
svg{max-width:100%;height:auto}"""


def write_report(run: Run, summary: Summary) -> Path:
    """Draw what the finished steps recorded; returns the file, which needs no other."""
    parts = [_stage_section(run, step) for step in STEPS if run.folder.finished(step)]
    if summary:
        parts.insert(0, _summary_section(summary))
    page = (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Run report</title>"
        f"<style>{STYLE}</style><h1>Run {html.escape(run.folder.path.name)}</h1>"
        f"<p>Seed {run.seed}. Validation figures, items of the history left out.</p>"
        f"{''.join(parts)}</html>\n"
    )
    path = run.folder.path / "report.html"
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _summary_section(summary: Summary) -> str:
    steps = list(next(iter(summary.values())).answer)
    head = "".join(f"<th>{name}</th>" for name in ("after", "minutes", "ranked by", *steps))
    rows = "".join(
        f"<tr><td>{stage}</td><td>{found.seconds / 60:.1f}</td><td>{by}</td>"
        + "".join(f"<td>{row['ndcg@10']:.4f}</td>" for row in figures.values())
        + "</tr>"
        for stage, found in summary.items()
        for by, figures in (("network", found.network), ("answer", found.answer))
    )
    curves = {
        f"{stage}, {by}": [row["ndcg@10"] for row in figures.values()]
        for stage, found in summary.items()
        for by, figures in (("network", found.network), ("answer", found.answer))
    }
    plot = _plots({"NDCG@10 after each reasoning step": (range(len(steps)), curves)})
    return f"<h2>What each stage brought: NDCG@10</h2><table><tr>{head}</tr>{rows}</table>{plot}"


def _stage_section(run: Run, step: Any) -> str:
    record = run.folder.record(step)
    metrics, plots = record["metrics"], ""
    if history := metrics.get("history"):
        unit = "epoch" if "epoch" in history[0] else "step"
        x = [record[unit] for record in history]
        plots = _plots(
            {
                f"{title} by {unit}": (x, _transposed([record[title] for record in history]))
                for title in ("losses", "rewards", "metrics")
                if title in history[0]
            }
        )
    elif usage := metrics.get("usage"):
        levels = range(1, len(usage) + 1)
        plots = _plots({f"codes per level, of {metrics['codes'][1]}": (levels, _transposed(usage))})
    elif distance := metrics.get("distance"):
        plots = _plots({"distance to the target by step": (range(len(distance)), {"": distance})})
    return f"<h2>{step} ({record['seconds'] / 60:.1f} minutes)</h2>{plots}"


def _transposed(records: Sequence[Mapping[str, float]]) -> Curves:
    names = [name for name in records[0] if name != "objective"]  # one of the others
    return {name: [record[name] for record in records] for name in names}


def _plots(panels: Mapping[str, tuple[Sequence[float], Curves]]) -> str:
    """Panels side by side as one inline SVG."""
    figure = Figure(figsize=(5.5 * len(panels), 3.4), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, (x, curves)) in zip(grid, panels.items(), strict=True):
        _draw(axes, title, x, curves)
    drawing = io.StringIO()
    figure.savefig(drawing, format="svg", metadata={"Date": None})
    return re.sub(r"^.*?(?=<svg)", "", drawing.getvalue(), flags=re.DOTALL)


def _draw(axes: Axes, title: str, x: Sequence[float], curves: Curves) -> None:
    for name, values in curves.items():
        axes.plot(list(x), values, marker="o", markersize=3, label=name)
    axes.set_title(title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(curves) > 1:
        axes.legend(fontsize="x-small")
