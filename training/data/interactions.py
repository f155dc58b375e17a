"""The interactions file: who met which item, and when."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from model_export.contract.errors import DataError
from training.data import columns
from training.data.formats import read_table
from training.data.table import Table
from training.data.values import read_ids, read_numbers, read_text, read_timestamps

ROW = "row"
"""Column of `Interactions.frame`: the row of the file."""

_TYPES_NAMED = 20
"""Types of events that an error names at the most."""


@dataclass(frozen=True)
class Interactions:
    """Validated interactions in file order.

    Attributes:
        path: the file.
        frame: one line an interaction: user_id and item_id (text), timestamp (Unix seconds,
            float64; absent where the file has none), event_type (text; absent likewise, or where it
            was not asked for) and row.
        read: rows of the file.
        filtered: rows that each filter dropped, under a description of the filter.
    """

    path: Path
    frame: pl.DataFrame
    read: int
    filtered: dict[str, int]


def read_interactions(
    path: Path, *, min_rating: float | None = None, event_types: Collection[str] | None = None
) -> Interactions:
    """Read and validate an interactions file.

    Args:
        path: a file with the columns user_id and item_id; timestamp, rating and event_type are
            optional, all others are ignored.
        min_rating: keep rows rated this or higher; rows without a rating are an error.
        event_types: keep rows of these types; a row without one is dropped.

    Raises:
        DataError: the file is wrong; names the file, the row and the column.
    """
    return interactions_of(read_table(path), min_rating=min_rating, event_types=event_types)


def interactions_of(
    table: Table,
    *,
    min_rating: float | None = None,
    event_types: Collection[str] | None = None,
    keep_types: bool = False,
) -> Interactions:
    """What `read_interactions` gives, of a file that is read already; with its types if asked for."""
    series = {
        columns.USER_ID: read_ids(table, columns.USER_ID),
        columns.ITEM_ID: read_ids(table, columns.ITEM_ID),
        ROW: table.rows,
    }
    if columns.TIMESTAMP in table:
        series[columns.TIMESTAMP] = read_timestamps(table, columns.TIMESTAMP)
    if keep_types and columns.EVENT_TYPE in table:
        series[columns.EVENT_TYPE] = read_text(table, columns.EVENT_TYPE)

    keep = pl.repeat(True, len(table), eager=True)
    filtered: dict[str, int] = {}
    if min_rating is not None:
        passes = read_numbers(table, columns.RATING) >= min_rating
        filtered[f"rating below {min_rating:g}"] = int((keep & ~passes).sum())
        keep &= passes
    if event_types is not None:
        types = read_text(table, columns.EVENT_TYPE)
        passes = types.is_in(list(event_types)).fill_null(False)
        if not passes.any():
            there = types.drop_nulls().unique(maintain_order=True).head(_TYPES_NAMED)
            raise DataError(
                f"{table.path} has no row with the {columns.EVENT_TYPE} {' or '.join(event_types)}; it has "
                f"{', '.join(there) or 'none at all'}. Correct data.event_types of the configuration"
            )
        filtered[f"event type not {' or '.join(event_types)}"] = int((keep & ~passes).sum())
        keep &= passes
    return Interactions(table.path, pl.DataFrame(series).filter(keep), len(table), filtered)
