"""Figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.accuracy.comparisons import Comparison
from benchmarks.accuracy.results import Model, Row, Spread, over_seeds

COLUMNS: Mapping[str, str] = {
    "N@10": "ndcg@10",
    "R@10": "recall@10",
    "N@5": "ndcg@5",
    "R@5": "recall@5",
    "N@10 seen kept": "ndcg@10 seen kept",
    "R@10 seen kept": "recall@10 seen kept",
    "N@5 seen kept": "ndcg@5 seen kept",
    "R@5 seen kept": "recall@5 seen kept",
    "R@10 cold": "recall@10 cold",
    "R@10 rare": "recall@10 rare",
    "N@10 rare": "ndcg@10 rare",
    "N@10 common": "ndcg@10 common",
}
NOTE = """Leave one out in time order, the whole catalogue ranked, all users. Items of the history are removed
from the ranking unless a column says `seen kept`; never compare one with the other. N: NDCG, R: Recall;
cold: targets without a training interaction; rare: with at most five (cold ones included); common: with
more. ± is the standard deviation over seeds. ms: per user in batches of 256, on the machine that ran it."""


def report(title: str, rows: Sequence[Row], compared: Sequence[Comparison]) -> str:
    """The whole Markdown page."""
    parts = [f"# Accuracy on {title}", NOTE]
    if compared:
        parts += ["## Comparisons, paired over users (± standard error)", _compared(compared)]
    for split in dict.fromkeys(row.split for row in rows):
        figures = over_seeds(rows, split)
        parts += [f"## {split}", _shares(next(iter(figures.values()))), _figures(figures)]
    parts += ["## Chosen on validation", _settings(rows)]
    return "\n\n".join(parts) + "\n"


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *lines])


def _shares(figures: Mapping[str, Spread]) -> str:
    shares = (f"{name} {figures[f'share {name}'][0]:.1%}" for name in ("cold", "rare"))
    return f"Targets: {', '.join(shares)}."


def _figures(figures: Mapping[Model, Mapping[str, Spread]]) -> str:
    lines = (
        [
            model.name,
            *(_cell(found.get(name)) for name in COLUMNS.values()),
            f"{found['ms_per_user'][0]:.2f}",
            f"{found['fit_seconds'][0]:.0f}",
        ]
        for model, found in figures.items()
    )
    return markdown(["model", *COLUMNS, "ms", "fit s"], lines)


def _cell(value: Spread | None) -> str:
    if value is None:
        return "–"
    average, deviation = value
    return short(average) + (f" ± {short(deviation)}" if deviation is not None else "")


def short(value: float) -> str:
    """Four decimals, without the zero before the point."""
    return f"{value:.4f}".removeprefix("0")


def _compared(compared: Sequence[Comparison]) -> str:
    lines = (
        [
            c.question,
            c.split,
            str(c.seed),
            f"{c.model} / {c.against}",
            c.metric,
            short(c.result.value),
            short(c.result.against),
            str(c.result),
        ]
        for c in compared
    )
    header = ["question", "split", "seed", "models", "metric", "first", "second", "gain"]
    return markdown(header, lines)


def _settings(rows: Sequence[Row]) -> str:
    found = dict.fromkeys((row.model.name, row.settings) for row in rows if row.settings)
    return markdown(["model", "settings"], ([name, f"`{text}`"] for name, text in found))
