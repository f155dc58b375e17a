"""`streamrec evaluate`: the accuracy of a run, step by step."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamrec.options import FreshEvidence, RunArgument, Threads

if TYPE_CHECKING:  # torch takes seconds to load
    from training.data.sequences import Split
    from training.evaluate import Figures
    from training.steps import StepName


class SplitName(StrEnum):
    """Which held-out items are asked for."""

    valid = "valid"
    test = "test"


def evaluate(
    run: RunArgument,
    split: Annotated[
        SplitName,
        typer.Option(help="Each user's second last item (valid) or last item (test)."),
    ] = SplitName.valid,
    stage: Annotated[
        str | None,
        typer.Option(
            help="As this step left the model: stage1, stage2_deliberate, stage2_finetune or stage3.",
            show_default="the last finished step",
        ),
    ] = None,
    fresh_evidence: FreshEvidence = False,
    threads: Threads = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Recall and NDCG at 5 and 10 for every number of reasoning steps, coverage and popularity.

    The whole catalogue is ranked for every user, once with the items of the history left out, as a
    service does, and once with them kept, as papers report.

    \b
    Examples:
      streamrec evaluate run --split test
      streamrec evaluate run --stage stage1 --json
    """
    from streamrec.torch_loading import load_torch

    load_torch()
    from streamrec.console import OUT, remark
    from streamrec.tables import figures_table
    from training.cores import on_cores
    from training.run import Run
    from training.summary import MODEL_STEPS, finished_models

    opened = Run.open(run)
    step = stage or finished_models(opened)[-1]
    if step not in MODEL_STEPS:
        raise typer.BadParameter(
            f"{stage} is not one of {', '.join(MODEL_STEPS)}", param_hint="--stage"
        )
    if stage is None and step != MODEL_STEPS[-1]:
        remark(
            f"{run} is not trained to the end: these are the figures after {step}, "
            f"before {' and '.join(MODEL_STEPS[MODEL_STEPS.index(step) + 1 :])}"
        )
    fresh = fresh_evidence and split is SplitName.test
    figures = on_cores(threads, "cpu", _figures, run, step, split.value, fresh)
    if figures is None:
        return
    if as_json:
        typer.echo(json.dumps({"run": str(run), "split": split, "stage": step, "figures": figures}))
    else:
        OUT.print(figures_table(figures, f"{run}, {split}, after {step}"))


def _figures(path: Path, step: StepName, split: Split, fresh: bool) -> dict[str, Figures] | None:
    """Figures of all users, from the first of several processes."""
    from streamrec.console import progress_bars
    from training import distributed
    from training.run import Run
    from training.summary import evaluate_after

    run = Run.open(path)
    if fresh:
        run = run.knowing(run.sequences.without_newest(1))
    first = distributed.is_first()
    with progress_bars(shown=first) as bars:
        figures = evaluate_after(run, step, split, bars, seen_kept=True)
    return figures if first else None
