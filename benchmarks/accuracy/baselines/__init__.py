"""The baselines, and which settings of each are tried on validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from benchmarks.accuracy.baselines.base import Baseline
from benchmarks.accuracy.baselines.ease import Ease
from benchmarks.accuracy.baselines.neighbours import ItemKnn, SequenceKnn
from benchmarks.accuracy.baselines.popularity import Popularity
from benchmarks.accuracy.baselines.sasrec import SasRec
from benchmarks.accuracy.baselines.text import MemoryAndText, TextKnn
from training.data.sequences import Holdout

DECAYS = [{"decay": decay} for decay in (1.0, 0.8, 0.5, 0.3)]
DELTAS_AND_DECAYS = [
    {"delta": delta, "decay": decay}
    for delta, decay in product((0.003, 0.01, 0.03, 0.1), (0.8, 0.5))
]


@dataclass(frozen=True)
class Grid:
    """Settings of one baseline to choose among.

    Attributes:
        fits: unfitted baselines; each is fitted.
        changes: fields to set on each fitted baseline; these only matter when scoring.
    """

    fits: Sequence[Baseline]
    changes: Sequence[Mapping[str, float]] = ({},)


GRIDS: Mapping[str, Callable[[Holdout, int], Grid]] = {
    "popularity": lambda _, __: Grid([Popularity()]),
    "item-kNN": lambda _, __: Grid([ItemKnn(shrink) for shrink in (1.0, 5.0, 20.0)], DECAYS),
    "sequence-kNN": lambda _, __: Grid([SequenceKnn(shrink) for shrink in (5.0, 20.0)], DECAYS),
    "text kNN": lambda _, __: Grid([TextKnn()], DECAYS),
    "memory + text": lambda _, __: Grid([MemoryAndText()], DELTAS_AND_DECAYS),
    "EASE": lambda _, __: Grid([Ease(penalty) for penalty in (100.0, 300.0, 1000.0)], DECAYS),
    "SASRec": lambda validation, seed: Grid([SasRec(validation, seed)]),
}
"""From the validation questions and a seed to what is tried; only SASRec looks at either."""
SEEDED = frozenset({"SASRec"})
"""Baselines that another seed changes."""
