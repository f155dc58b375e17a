"""`python -m benchmarks.accuracy DATASET --out DIR`: baselines and the product under one protocol."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args

import torch
import typer

from benchmarks.accuracy.baselines import GRIDS
from benchmarks.accuracy.comparisons import comparisons
from benchmarks.accuracy.measure import measure_baselines, measure_run, same_data
from benchmarks.accuracy.plots import draw
from benchmarks.accuracy.reasoner import shipped
from benchmarks.accuracy.results import Row
from benchmarks.accuracy.tables import report
from model_export.contract.files import atomic_path, write_json
from streamrec.console import remark
from streamrec.job import train_and_tell
from streamrec.options import Threads
from training.args import load_config
from training.cores import on_cores
from training.data.prepare import Dataset, prepare
from training.data.sequences import Split
from training.run import Run

SPLITS: tuple[Split, ...] = get_args(Split)


class SplitName(StrEnum):
    """Which held-out items are asked for."""

    valid = "valid"
    test = "test"


def main(
    dataset: Annotated[Path, typer.Argument(help="Folder with interactions.csv and items.csv.")],
    out: Annotated[Path, typer.Option(help="Folder for JSON, Markdown and pictures.")],
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of whatever is drawn at random.")] = 3,
    min_interactions: Annotated[
        int, typer.Option(min=0, help="Drop users and items with fewer, repeatedly.")
    ] = 5,
    run: Annotated[
        list[Path] | None,
        typer.Option(
            help="Directory of a finished `streamrec train`; repeat it for several seeds.",
            show_default="one is trained for each seed",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML settings of our training.")] = None,
    baselines_only: Annotated[bool, typer.Option(help="Leave our own model out.")] = False,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help=f"Of {', '.join(GRIDS)}; repeatable.", show_default="all"),
    ] = None,
    split: Annotated[
        list[SplitName] | None, typer.Option(help="Repeatable.", show_default="both")
    ] = None,
    threads: Threads = None,
) -> None:
    """Measure baselines and our own model; write results.json, results.md and pictures."""
    names = baseline or list(GRIDS)
    if unknown := sorted(set(names) - set(GRIDS)):
        raise typer.BadParameter(f"{unknown} are not of {list(GRIDS)}", param_hint="--baseline")
    if threads:
        torch.set_num_threads(threads)
    splits = [name for name in SPLITS if split is None or name in split]
    data = prepare(
        dataset / "interactions.csv", items_of(dataset), min_interactions=min_interactions
    )
    remark(data.report.summary())
    settings = load_config(config)
    settings = settings.model_copy(
        update={"data": settings.data.model_copy(update={"min_interactions": min_interactions})}
    )
    runs = [Run.open(path) for path in run or []]
    for opened in runs:
        same_data(opened, data)
    rows = list(measure_baselines(data, names, splits, seeds, remark))
    if not baselines_only:
        files = dataset / "interactions.csv", items_of(dataset)
        runs = runs or [
            on_cores(threads, "auto", train_and_tell, *files, out / f"run-{seed}", settings, seed)
            for seed in range(seeds)
        ]
        for opened in runs:
            rows += measure_run(opened, splits, remark)
    write(dataset.name, data, rows, runs, out)


def items_of(dataset: Path) -> Path | None:
    """The items file of a dataset folder; None where it has none."""
    path = dataset / "items.csv"
    return path if path.is_file() else None


def write(name: str, data: Dataset, rows: list[Row], runs: list[Run], out: Path) -> None:
    """Write what was measured."""
    model = shipped(runs[0]) if any(row.model.stage for row in rows) else None
    compared = comparisons(rows, model)
    content = {
        "dataset": name,
        "fingerprint": data.sequences.fingerprint,
        "users": data.report.users,
        "items": data.report.items,
        "interactions": data.report.interactions,
        "shipped": model and model.name,
        "runs": [run.config.model_dump(mode="json") for run in runs],
        "rows": [row.content() for row in rows],
        "comparisons": [comparison.content() for comparison in compared],
    }
    write_json(out / "results.json", content)
    with atomic_path(out / "results.md") as partial:
        partial.write_text(report(name, rows, compared), encoding="utf-8")
    for split in dict.fromkeys(row.split for row in rows):
        draw(rows, split, model, out)
    remark(f"see {out / 'results.md'}")


if __name__ == "__main__":
    typer.run(main)
