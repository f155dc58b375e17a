"""A training as the user sees it, in each of the processes that do it together."""

from __future__ import annotations

from pathlib import Path

from streamrec.console import progress_bars, remark
from training import distributed
from training.args import RunConfig
from training.pipeline import train
from training.run import Run
from training.steps import STEPS, StepName


def train_and_tell(
    interactions: Path,
    items: Path | None,
    path: Path,
    config: RunConfig,
    seed: int,
    last: StepName = STEPS[-1],
) -> Run:
    """`training.pipeline.train`; the first process shows how far it is and tells what it did.

    Raises:
        DataError: an input file is wrong.
        RunError: the run directory cannot be used, or another process trains there.
    """
    first = distributed.is_first()
    with progress_bars(shown=first) as bars:
        return train(
            interactions, items, path, config, seed, bars, remark if first else _silent, last
        )


def _silent(_: str) -> None:
    """What the other processes say."""
