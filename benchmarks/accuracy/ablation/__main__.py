"""`python -m benchmarks.accuracy.ablation DATASET --out DIR`: retrain with one thing changed at a time.

Takes hours and may be stopped at any time: the same command goes on where it was. Every variant has a run
directory in `--out`; the table is written anew after each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.accuracy.__main__ import items_of
from benchmarks.accuracy.ablation.table import ablation_report
from benchmarks.accuracy.ablation.trial import Trial, judged, mixes_without, start_from
from benchmarks.accuracy.ablation.variants import Variant, variants
from model_export.contract.files import atomic_path
from streamrec.console import OUT, remark
from streamrec.job import train_and_tell
from streamrec.options import Threads
from training.args import load_config
from training.cores import on_cores
from training.run import NETWORK_STEPS, Run


def main(
    dataset: Annotated[Path, typer.Argument(help="Folder with interactions.csv and items.csv.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs and the table.")],
    config: Annotated[Path | None, typer.Option(help="TOML settings of the base.")] = None,
    min_interactions: Annotated[
        int, typer.Option(min=0, help="Drop users and items with fewer, repeatedly.")
    ] = 5,
    seed: Annotated[int, typer.Option(help="Seed of all runs.")] = 0,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="Only variants whose name begins so; repeatable.", show_default="all"),
    ] = None,
    last: Annotated[
        str, typer.Option(help=f"Last step to train, of {', '.join(NETWORK_STEPS)}.")
    ] = NETWORK_STEPS[-1],
    list_only: Annotated[bool, typer.Option("--list", help="Name the variants and stop.")] = False,
    threads: Threads = None,
) -> None:
    """Train the base and every variant; write ablation.md with validation figures."""
    settings = load_config(config)
    settings = settings.model_copy(
        update={"data": settings.data.model_copy(update={"min_interactions": min_interactions})}
    )
    chosen = [v for v in variants(settings) if v.name.startswith(tuple(variant or [""]))]
    if last not in NETWORK_STEPS:
        raise typer.BadParameter(f"not one of {', '.join(NETWORK_STEPS)}", param_hint="--last")
    if list_only:
        OUT.print("\n".join(v.name for v in chosen), markup=False, highlight=False)
        return
    if threads:
        torch.set_num_threads(threads)

    def run_of(planned: Variant) -> Run:
        return on_cores(
            threads, "auto", train_and_tell, dataset / "interactions.csv",
            items_of(dataset) if planned.read_items else None, out / planned.name,
            planned.config(settings), seed, last,
        )  # fmt: skip

    base = run_of(Variant("base"))
    base_trial, trials = judged(base, "base"), list[Trial]()

    def add(trial: Trial) -> None:
        trials.append(trial)
        with atomic_path(out / "ablation.md") as partial:
            partial.write_text(ablation_report(dataset.name, base_trial, trials), "utf-8")

    for trial in mixes_without(base) if base.folder.finished("stage2_deliberate") else ():
        add(trial)
    for planned in chosen:
        start_from(base.folder.path, out / planned.name)
        remark(f"variant: {planned.name}")
        add(judged(run_of(planned), planned.name))
    remark(f"see {out / 'ablation.md'}")


if __name__ == "__main__":
    typer.run(main)
