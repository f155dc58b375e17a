"""The comparisons that matter, paired over users."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.results import Model, Row
from training.data.sequences import Split
from training.metrics import user_ndcg, user_recall
from training.run import NETWORK_STEPS

Metric = Literal["ndcg@10", "recall@10"]


@dataclass(frozen=True)
class Paired:
    """A metric of one ranking against another's over the same users.

    Attributes:
        value: mean of the first.
        against: mean of the second.
        standard_error: of the mean difference over users.
    """

    value: float
    against: float
    standard_error: float

    @property
    def gain(self) -> tuple[float, float] | None:
        """Gain and its standard error as shares of the second; None where the second is 0."""
        if not self.against:
            return None
        return self.value / self.against - 1, self.standard_error / self.against

    def __str__(self) -> str:
        return "–" if self.gain is None else f"{self.gain[0]:+.1%} ± {self.gain[1]:.1%}"


def paired(
    ranks: NDArray[np.int64], others: NDArray[np.int64], metric: Metric = "ndcg@10"
) -> Paired:
    """Compare ranks (users,), 1 the best, of the same questions."""
    a, b = (gains(r, metric) for r in (ranks, others))
    error = float((a - b).std(ddof=1) / len(a) ** 0.5)
    return Paired(float(a.mean()), float(b.mean()), error)


def gains(ranks: NDArray[np.int64], metric: Metric) -> NDArray[np.float64]:
    """(users,) what each user adds to the metric."""
    return user_ndcg(ranks, 10) if metric == "ndcg@10" else user_recall(ranks, 10)


@dataclass(frozen=True)
class Comparison:
    """One question with its answer for one seed and split."""

    question: str
    model: str
    against: str
    metric: Metric
    split: Split
    seed: int
    result: Paired

    def content(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "gain": self.result.gain}


def comparisons(rows: Sequence[Row], shipped: Model | None) -> list[Comparison]:
    """All questions that the rows can answer; `shipped` is what the product answers with."""
    if shipped is None:
        return []
    baselines = {
        row.split: row
        for row in sorted(rows, key=lambda row: row.judge.figures()["ndcg@10"])
        if row.model.stage is None
    }  # the best of each split comes last
    found = []
    for split, seed in dict.fromkeys((r.split, r.seed) for r in rows if r.model.stage):
        by_model = {r.model: r for r in rows if (r.split, r.seed) == (split, seed)}
        if split in baselines:
            by_model[baselines[split].model] = baselines[split]
        best = baselines[split].model if split in baselines else None
        for question, model, against, metric in _questions(shipped, best):
            if model in by_model and against in by_model:
                first, second = by_model[model].judge.ranks, by_model[against].judge.ranks
                found.append(
                    Comparison(
                        question, model.name, against.name, metric, split, seed,
                        paired(first, second, metric),
                    )
                )  # fmt: skip
    return found


def _questions(
    shipped: Model, baseline: Model | None
) -> Iterator[tuple[str, Model, Model, Metric]]:
    assert shipped.stage
    assert shipped.steps is not None
    ours: Callable[[str, str, int], Model] = Model.ours
    last, deep = shipped.stage, shipped.steps
    if baseline:
        yield "shipped against the best baseline", shipped, baseline, "ndcg@10"
        alone = ours(last, "state", deep)
        yield "state alone against the best baseline", alone, baseline, "ndcg@10"
    for part in ("deliberation", "mix", "state", "beam"):
        question = f"deep against zero steps, {part}"
        yield question, ours(last, part, deep), ours(last, part, 0), "ndcg@10"
    for part in ("deliberation", "mix", "state", "beam"):
        for before, after in pairwise(NETWORK_STEPS):
            question = f"{after} against {before}, {part}"
            yield question, ours(after, part, deep), ours(before, part, deep), "ndcg@10"
    direct = ours(NETWORK_STEPS[0], "beam", 0)
    yield "shipped against direct generation", shipped, direct, "recall@10"
    yield "shipped against direct generation", shipped, direct, "ndcg@10"
