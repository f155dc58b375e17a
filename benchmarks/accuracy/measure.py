"""Fit and judge: baselines on a dataset, the product from run directories."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from benchmarks.accuracy.baselines import GRIDS, SEEDED
from benchmarks.accuracy.baselines.base import TooLargeError
from benchmarks.accuracy.choose import choose
from benchmarks.accuracy.judge import judge
from benchmarks.accuracy.reasoner import finished_networks, finished_parts, judge_network
from benchmarks.accuracy.results import Model, Row
from model_export.contract.errors import RunError
from training.data.prepare import Dataset
from training.data.sequences import Split
from training.run import Run
from training.steps import STEPS

Tell = Callable[[str], None]


def measure_baselines(
    dataset: Dataset, names: Sequence[str], splits: Sequence[Split], seeds: int, tell: Tell
) -> Iterator[Row]:
    """Choose each baseline's settings on validation, then judge it; what is too large is told."""
    popularity = np.bincount(dataset.sequences.training().items, minlength=len(dataset.catalog))
    validation = dataset.sequences.holdout("valid")
    for name in names:
        for seed in range(seeds if name in SEEDED else 1):
            tell(f"{name}, seed {seed}" if name in SEEDED else name)
            try:
                baseline, seconds = choose(GRIDS[name](validation, seed), dataset)
            except TooLargeError as reason:
                tell(f"{name}: left out, {reason}")
                continue
            for split in splits:
                judged = judge(baseline.score, dataset.sequences.holdout(split), popularity)
                yield Row(Model(name), split, seed, repr(baseline), seconds, judged)


def measure_run(run: Run, splits: Sequence[Split], tell: Tell) -> Iterator[Row]:
    """Judge every network of a run, by every part, after every number of steps."""
    for stage in finished_networks(run):
        until = STEPS[: STEPS.index(stage) + 1]
        seconds = sum(run.folder.record(step)["seconds"] for step in until)
        for split in splits:
            tell(f"{run.folder.path}: {stage}, {split}")
            judges = judge_network(run, stage, run.sequences.holdout(split), finished_parts(run))
            for (part, steps), judged in judges.items():
                yield Row(Model.ours(stage, part, steps), split, run.seed, "", seconds, judged)


def same_data(run: Run, dataset: Dataset) -> None:
    """Check that a run was trained on these very sequences.

    Raises:
        RunError: it was not.
    """
    if run.sequences.fingerprint != dataset.sequences.fingerprint:
        raise RunError(
            f"{run.folder.path} was trained on other data than the dataset folder gives; "
            "name the dataset and the --min-interactions that it was trained with"
        )
