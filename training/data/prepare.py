"""Raw files in; out come a catalogue, ordered user histories and a count of what was dropped."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from model_export.contract.catalog import Catalog
from model_export.contract.errors import DataError
from training.data import columns
from training.data.interactions import ROW, read_interactions
from training.data.items import catalog_of, read_items
from training.data.sequences import Sequences

MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Report:
    """What became of the rows.

    Attributes:
        read: rows of the interactions file.
        dropped: rows dropped, under each reason.
        unknown_items: the first rows whose item the catalogue lacks, each as one phrase.
        unused_items: catalogue items dropped for too few interactions.
        users: users left.
        items: catalogue items left.
        interactions: rows left.
        repeats: those of an item that the user had before.
    """

    read: int
    dropped: dict[str, int]
    unknown_items: tuple[str, ...]
    unused_items: int
    users: int
    items: int
    interactions: int
    repeats: int

    def summary(self) -> str:
        """A few lines for a person."""
        lines = [f"read {self.read:,} interactions"]
        lines += [f"dropped {count:,}: {reason}" for reason, count in self.dropped.items() if count]
        lines += [f"  for example {example}" for example in self.unknown_items]
        if self.unused_items:
            lines.append(f"dropped {self.unused_items:,} catalogue items: too few interactions")
        lines.append(
            f"kept {self.interactions:,} interactions of {self.users:,} users; "
            f"{self.items:,} catalogue items"
        )
        if self.repeats:
            lines.append(
                f"{self.repeats / self.interactions:.1%} of the interactions are with an item that the "
                "user had before; answers leave these out unless a request says exclude_seen=false"
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class Dataset:
    """A catalogue, the histories that refer to its rows, and how both came about."""

    catalog: Catalog
    sequences: Sequences
    report: Report


def prepare(
    interactions: Path,
    items: Path | None = None,
    *,
    min_rating: float | None = None,
    event_types: Collection[str] | None = None,
    min_interactions: int = 0,
) -> Dataset:
    """Read the input files and order every user's items by time.

    Equal or absent timestamps leave the order of the file. Users stand in order of first
    appearance; so do items, unless an items file lists them.

    Args:
        interactions: see `read_interactions`.
        items: see `read_items`; without it the catalogue holds the items of the interactions.
        min_rating: keep interactions rated this or higher.
        event_types: keep interactions of these types.
        min_interactions: users and items with fewer are dropped, repeatedly until all have as many
            (the k-core). Such items leave the catalogue too; 0 keeps those that nobody met yet.

    Raises:
        DataError: a file is wrong, or fewer than two users are left.
    """
    source = read_interactions(interactions, min_rating=min_rating, event_types=event_types)
    catalog = read_items(items) if items else catalog_of(source.frame[columns.ITEM_ID])

    known = source.frame[columns.ITEM_ID].is_in([item.item_id for item in catalog])
    unknown = source.frame.filter(~known)
    core = _k_core(source.frame.filter(known), min_interactions)
    used = _used_items(catalog, core, min_interactions)
    sequences = _sequences(used, core)
    report = Report(
        read=source.read,
        dropped={
            **source.filtered,
            "the item is not in the catalogue": unknown.height,
            f"the user or item has fewer than {min_interactions} interactions": int(known.sum())
            - core.height,
        },
        unknown_items=tuple(
            f"{interactions}, row {row}: item {item_id!r}"
            for row, item_id in unknown.select(ROW, columns.ITEM_ID).head(MAX_EXAMPLES).iter_rows()
        ),
        unused_items=len(catalog) - len(used),
        users=len(sequences),
        items=len(used),
        interactions=core.height,
        repeats=core.height - core.n_unique([columns.USER_ID, columns.ITEM_ID]),
    )
    if report.users < 2:
        raise DataError(
            f"{interactions}: recommending needs interactions of at least two users, but "
            f"{report.users} is left. Check the filters and the item ids\n{report.summary()}"
        )
    return Dataset(used, sequences, report)


def _k_core(frame: pl.DataFrame, minimum: int) -> pl.DataFrame:
    """The largest part of the table in which every user and every item has `minimum` rows."""
    while True:
        enough = [pl.len().over(name) >= minimum for name in (columns.USER_ID, columns.ITEM_ID)]
        kept = frame.filter(*enough)
        if kept.height == frame.height:
            return frame
        frame = kept


def _used_items(catalog: Catalog, frame: pl.DataFrame, minimum: int) -> Catalog:
    """The catalogue without items that the k-core dropped; in the same order."""
    if minimum == 0:
        return catalog
    used = set(frame[columns.ITEM_ID])
    return Catalog(item for item in catalog if item.item_id in used)


def _sequences(catalog: Catalog, frame: pl.DataFrame) -> Sequences:
    """Group interactions by user and order each user's by time; all items are in the catalogue."""
    user_ids = frame[columns.USER_ID].unique(maintain_order=True)
    users = pl.DataFrame({columns.USER_ID: user_ids}).with_row_index("user")
    item_ids = [item.item_id for item in catalog]
    items = pl.DataFrame({columns.ITEM_ID: item_ids}).with_row_index("item")
    keys = ["user", *([columns.TIMESTAMP] if columns.TIMESTAMP in frame.columns else [])]
    ordered = (
        frame.join(users, on=columns.USER_ID, maintain_order="left")
        .join(items, on=columns.ITEM_ID, maintain_order="left")
        .sort(keys, maintain_order=True)
    )
    lengths = np.bincount(ordered["user"].to_numpy(), minlength=len(user_ids))
    has_time = columns.TIMESTAMP in ordered.columns
    return Sequences(
        user_ids.to_list(),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        ordered["item"].to_numpy().astype(np.int64),
        ordered[columns.TIMESTAMP].to_numpy() if has_time else None,
    )
