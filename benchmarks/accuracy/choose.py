"""Choose the settings of a baseline on validation, never on test."""

from __future__ import annotations

import copy
import time
from typing import NamedTuple

import numpy as np

from benchmarks.accuracy.baselines import Grid
from benchmarks.accuracy.baselines.base import Baseline
from benchmarks.accuracy.judge import judge
from training.data.prepare import Dataset
from training.pipeline import sample


class Chosen(NamedTuple):
    """The fitted baseline with the best validation NDCG@10, and the seconds that its fit took."""

    baseline: Baseline
    seconds: float


def choose(grid: Grid, dataset: Dataset) -> Chosen:
    """Fit everything of the grid and keep what ranks a sample of the validation targets best.

    Raises:
        TooLargeError: the catalogue is beyond what the baseline can hold.
    """
    training = dataset.sequences.training()
    validation = sample(dataset.sequences.holdout("valid"), seed=0)
    popularity = np.bincount(training.items, minlength=len(dataset.catalog))
    tried: list[tuple[float, Chosen]] = []
    for baseline in grid.fits:
        began = time.perf_counter()
        baseline.fit(training, dataset.catalog)
        seconds = time.perf_counter() - began
        for change in grid.changes:
            changed = copy.copy(baseline)
            for name, value in change.items():
                setattr(changed, name, value)
            ndcg = 0.0
            if len(grid.fits) * len(grid.changes) > 1:
                ndcg = judge(changed.score, validation, popularity).figures()["ndcg@10"]
            tried.append((ndcg, Chosen(changed, seconds)))
    return max(tried, key=lambda pair: pair[0])[1]
