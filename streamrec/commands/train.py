"""`streamrec train`: from raw files to a trained model, resumable at every point."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamrec.options import ConfigFile, InteractionsFile, Threads, new_folder

if TYPE_CHECKING:  # torch takes seconds to load
    from training.args import RunConfig
    from training.steps import StepName
    from training.summary import Summary


def train(
    interactions: InteractionsFile,
    run: Annotated[
        Path, typer.Option(help="Directory that keeps all that is made.", callback=new_folder)
    ],
    items: Annotated[
        Path | None,
        typer.Option(
            help="CSV, JSONL or Parquet with item_id; title, categories, brand, description and "
            "any other column are optional. Without it behaviour alone is learnt from."
        ),
    ] = None,
    config: ConfigFile = None,
    seed: Annotated[int, typer.Option(help="Another seed, another model of the same kind.")] = 0,
    stage: Annotated[
        str | None,
        typer.Option(
            help="Last step to run: prepare, items, stage1, stage2_deliberate, stage2_annotate, "
            "stage2_finetune or stage3.",
            show_default="all of them",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, or auto for a GPU where there is one.")
    ] = "auto",
    threads: Threads = None,
) -> None:
    """Learn from interactions: prepare → items → stage 1 → stage 2 → stage 3.

    Steps whose inputs and settings have not changed are skipped. After an interruption the same
    command goes on where it stopped. At the end a table shows what each stage brought; the run's
    report.html shows it in pictures.

    \b
    Examples:
      streamrec train --interactions events.csv --items items.csv --run run
      streamrec train --interactions events.parquet --run run --config my.toml --stage stage1
      torchrun --nproc-per-node 4 -m -- streamrec train --interactions events.csv --run run
    """
    from training.args import DEVICES, load_config
    from training.data.formats import check_file
    from training.steps import STEPS

    last = stage or STEPS[-1]
    if last not in STEPS:
        raise typer.BadParameter(f"{last} is not one of {', '.join(STEPS)}", param_hint="--stage")
    if device not in DEVICES:
        raise typer.BadParameter(
            f"{device} is not one of {', '.join(DEVICES)}", param_hint="--device"
        )
    settings = load_config(config)
    for file in filter(None, (interactions, items)):
        check_file(file)

    # Takes seconds, so not before what was given is known to be of use.
    from streamrec.torch_loading import load_torch

    load_torch()
    from streamrec.console import OUT, remark
    from streamrec.tables import stages_table
    from training.cores import on_cores

    done = on_cores(
        threads, device, _train_and_sum_up, interactions, items, run, settings, seed, last
    )
    if done is None:
        return
    summary, report = done
    if summary:
        OUT.print(stages_table(summary))
    remark(f"see {report}")


def _train_and_sum_up(
    interactions: Path, items: Path | None, path: Path, config: RunConfig, seed: int, last: StepName
) -> tuple[Summary, Path] | None:
    """A training and, from the first of its processes, the figures of its stages and its report."""
    from streamrec.console import progress_bars
    from streamrec.job import train_and_tell
    from training import distributed
    from training.report import write_report
    from training.summary import summarise

    run = train_and_tell(interactions, items, path, config, seed, last)
    first = distributed.is_first()
    with progress_bars(shown=first) as bars:
        summary = summarise(run, bars)
    return (summary, write_report(run, summary)) if first else None
