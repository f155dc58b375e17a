"""The ablation as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracy.ablation.trial import COLUMNS, Trial, column
from benchmarks.accuracy.comparisons import Metric, paired
from benchmarks.accuracy.tables import markdown, short

NOTE = """Validation NDCG@10, seen items removed, one seed, all users. In brackets the gain over the base,
paired over users (± standard error). `deep` is all reasoning steps of the variant, `deliberation, deep` what
is shipped."""


def ablation_report(title: str, base: Trial, trials: Sequence[Trial]) -> str:
    """The whole Markdown page."""
    columns = [column(*c) for c in COLUMNS]
    header = ["variant", *columns, "R@10 as shipped", "minutes"]
    lines = [_line(trial, base, columns) for trial in (base, *trials)]
    return f"# Ablation on {title}\n\n{NOTE}\n\n{markdown(header, lines)}\n"


def _line(trial: Trial, base: Trial, columns: Sequence[str]) -> list[str]:
    cells = [_cell(trial, base, name, "ndcg@10") for name in columns]
    recall = _cell(trial, base, columns[-1], "recall@10")
    return [trial.name, *cells, recall, f"{trial.seconds / 60:.1f}"]


def _cell(trial: Trial, base: Trial, name: str, metric: Metric) -> str:
    if name not in trial.ranks:
        return "–"
    result = paired(trial.ranks[name], base.ranks[name], metric)
    return short(result.value) + ("" if trial is base else f" ({result})")
