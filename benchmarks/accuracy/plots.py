"""Three pictures: metric per reasoning step, metric per stage, cost against metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.accuracy.results import Model, Row, Spread, over_seeds
from model_export.contract.files import atomic_path
from training.data.sequences import Split
from training.run import NETWORK_STEPS

METRIC = "ndcg@10"
STAGE_STYLES: Mapping[str, str] = dict(zip(NETWORK_STEPS, ("v:", "s--", "o-"), strict=True))
PART_COLOURS = {"state": "C0", "beam": "C1", "mix": "C2", "deliberation": "C3"}
LABEL = "NDCG@10, seen items removed"

Figures = Mapping[Model, Mapping[str, Spread]]


def draw(rows: Sequence[Row], split: Split, shipped: Model | None, folder: Path) -> None:
    """Write every picture that the rows can fill as `<what>-<split>.png`."""
    figures = over_seeds(rows, split)
    pictures = {"cost": _cost(figures, shipped)}
    if shipped:
        pictures |= {"steps": _steps(figures), "stages": _stages(figures, shipped)}
    for name, picture in pictures.items():
        with atomic_path(folder / f"{name}-{split}.png") as partial:
            picture.savefig(partial, format="png", dpi=150)


def _axes(title: str, x: str) -> tuple[Figure, Axes]:
    picture = Figure(figsize=(8, 5), layout="constrained")
    axes = picture.subplots()
    axes.set(title=title, xlabel=x, ylabel=LABEL)
    axes.grid(alpha=0.3)
    return picture, axes


def _curve(
    axes: Axes, label: str, x: Sequence[int | str], values: Sequence[Spread], style: str
) -> None:
    means, deviations = zip(*values, strict=True)
    errors = [deviation or 0.0 for deviation in deviations]
    axes.errorbar(list(x), means, errors, fmt=style, markersize=4, label=label)


def _steps(figures: Figures) -> Figure:
    picture, axes = _axes("What each reasoning step brings", "reasoning steps")
    for stage, part in dict.fromkeys((m.stage, m.part) for m in figures if m.stage and m.part):
        curve = {
            m.steps: f[METRIC]
            for m, f in figures.items()
            if m.steps is not None and (m.stage, m.part) == (stage, part)
        }
        style = STAGE_STYLES[stage] + PART_COLOURS[part]
        _curve(axes, f"{stage}, {part}", list(curve), list(curve.values()), style)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize="x-small")
    return picture


def _stages(figures: Figures, shipped: Model) -> Figure:
    picture, axes = _axes(f"What each stage brings, after {shipped.steps} steps", "stage")
    for part in dict.fromkeys(m.part for m in figures if m.part):
        curve = {
            stage: figures[model][METRIC]
            for stage in NETWORK_STEPS
            if (model := Model.ours(stage, part, shipped.steps or 0)) in figures
        }
        _curve(axes, part, list(curve), list(curve.values()), "o-" + PART_COLOURS[part])
    axes.legend(fontsize="x-small")
    return picture


def _cost(figures: Figures, shipped: Model | None) -> Figure:
    """Baselines, and the product's last stage: one line a part, its points the steps."""
    picture, axes = _axes("What a better ranking costs", "ms per user, in batches")
    lines: dict[str, list[tuple[float, float, str]]] = {}
    for model, found in figures.items():
        if model.stage is None or (shipped and model.stage == shipped.stage):
            line = model.part or model.name
            label = model.name if model.stage is None else str(model.steps)
            point = (found["ms_per_user"][0], found[METRIC][0], label)
            lines.setdefault(line, []).append(point)
    for line, points in lines.items():
        cost, metric, _ = zip(*points, strict=True)
        axes.plot(cost, metric, marker="o", markersize=4, label=line)
        for x, y, label in points:
            axes.annotate(label, (x, y), (4, 4), textcoords="offset points", fontsize="x-small")
    axes.set_xscale("log")
    if shipped:
        axes.legend(fontsize="x-small")
    return picture
