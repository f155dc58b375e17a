"""What was measured: one row a model, split and seed, and what several seeds say together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

from benchmarks.accuracy.judge import Judge
from training.data.sequences import Split


@dataclass(frozen=True)
class Model:
    """What was judged.

    Attributes:
        name: what tables call it.
        stage: of the product, the stage that its network comes from; None for a baseline.
        part: of the product, what ranks: "state", "beam", "mix" or "deliberation".
        steps: of the product, reasoning steps taken.
    """

    name: str
    stage: str | None = None
    part: str | None = None
    steps: int | None = None

    @classmethod
    def ours(cls, stage: str, part: str, steps: int) -> Model:
        """The product after a stage, ranked by one part after some steps."""
        return cls(f"{stage}, {part}, {steps} step{'s' * (steps != 1)}", stage, part, steps)


@dataclass(frozen=True)
class Row:
    """Figures of a model with one seed.

    Attributes:
        settings: what was chosen on validation, in words.
        fit_seconds: time of one fit, or of all stages.
        judge: figures, ranks and cost.
    """

    model: Model
    split: Split
    seed: int
    settings: str
    fit_seconds: float
    judge: Judge

    def content(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self.model),
            "split": self.split,
            "seed": self.seed,
            "settings": self.settings,
            "fit_seconds": round(self.fit_seconds, 1),
            "ms_per_user": self.judge.ms_per_user,
            "figures": self.judge.figures(),
        }


Spread = tuple[float, float | None]
"""Mean and standard deviation over seeds; None where there is one seed only."""


def over_seeds(rows: Iterable[Row], split: Split) -> dict[Model, dict[str, Spread]]:
    """Every figure, "ms_per_user" and "fit_seconds" of each model on a split, in order of rows."""
    found: dict[Model, list[Mapping[str, float]]] = {}
    for row in rows:
        if row.split == split:
            cost = {"ms_per_user": row.judge.ms_per_user, "fit_seconds": row.fit_seconds}
            found.setdefault(row.model, []).append({**row.judge.figures(), **cost})
    return {
        model: {name: spread([f[name] for f in figures]) for name in figures[0]}
        for model, figures in found.items()
    }


def spread(values: list[float]) -> Spread:
    """Mean and standard deviation of the figures of several seeds."""
    return mean(values), stdev(values) if len(values) > 1 else None
