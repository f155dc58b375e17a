"""What the cells of a table mean: ids, text, numbers and points in time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl

from training.data.table import Table

MAX_UNIX_SECONDS = 1e11
"""The year 5138; a larger number counts milliseconds or less."""

SEPARATOR = "|"
"""Between the texts of a cell that holds several."""

TEXT_TYPES = (pl.String, pl.Categorical, pl.Enum, pl.Null)


def read_ids(table: Table, column: str) -> pl.Series:
    """Opaque text ids, exactly as written; whole numbers become their digits.

    Raises:
        DataError: the column is missing, or a cell is empty or a fractional number.
    """
    series = table[column]
    fractions = [
        record
        for record, cell in enumerate(series if series.dtype == pl.Object else [])
        if isinstance(cell, float)
    ]
    if series.dtype.is_float() or series.dtype.is_decimal():
        fractions = [0]
    if fractions:
        raise table.error(
            fractions[0], column, "a decimal number is no id; write ids as text or whole numbers"
        )
    ids = read_text(table, column)
    _refuse(table, column, ids.is_null(), "the id is empty; fill it in or remove the row")
    return ids


def read_text(table: Table, column: str) -> pl.Series:
    """Text; numbers in their usual notation, an empty cell as null.

    Raises:
        DataError: the column is missing, or a cell holds neither text nor a number.
    """
    series = table[column]
    if series.dtype == pl.Object:
        cells = [_cell_text(table, column, record, cell) for record, cell in enumerate(series)]
        series = pl.Series(column, cells, dtype=pl.String)
    elif not (series.dtype in TEXT_TYPES or series.dtype.is_numeric()):
        raise table.error(0, column, f"{series.dtype} is not text; write text or numbers")
    series = series.cast(pl.String)
    return series.set(series == "", None)


def _cell_text(table: Table, column: str, record: int, cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return str(cell)
    raise table.error(record, column, f"{cell!r:.60} is not text; write text or a number")


def read_numbers(table: Table, column: str) -> pl.Series:
    """Finite float64 numbers.

    Raises:
        DataError: the column is missing, or a cell is empty or not a finite number.
    """
    numbers = read_text(table, column).cast(pl.Float64, strict=False)
    wrong = ~numbers.is_finite().fill_null(False)
    _refuse(table, column, wrong, "{cell} is not a number; correct it or remove the row")
    return numbers


def read_timestamps(table: Table, column: str) -> pl.Series:
    """Unix seconds, float64. Cells are Unix seconds or ISO 8601; without an offset ISO 8601 is UTC.

    Raises:
        DataError: the column is missing, or a cell is empty, is neither, or counts milliseconds.
    """
    series = table[column]
    if series.dtype == pl.Date or isinstance(series.dtype, pl.Datetime):
        seconds = series.dt.epoch("us") / 1e6
    else:
        text = read_text(table, column)
        seconds = text.cast(pl.Float64, strict=False)
        _refuse(
            table,
            column,
            (seconds.abs() >= MAX_UNIX_SECONDS).fill_null(False),
            "{cell} is no time in Unix seconds; divide milliseconds by 1000",
        )
        iso = (seconds.is_null() & text.is_not_null()).arg_true()
        seconds = seconds.scatter(iso, [_parse_iso(cell) for cell in text.gather(iso)])
    _refuse(
        table,
        column,
        ~seconds.is_finite().fill_null(False),
        "{cell} is not a time; write Unix seconds or ISO 8601, such as 2024-05-31T18:30:00Z",
    )
    return seconds


def split_cell(table: Table, column: str, record: int, cell: Any) -> list[str]:
    """The texts that one cell lists, in order; none in an empty cell.

    Raises:
        DataError: the cell is neither text separated by SEPARATOR nor a list of text or whole numbers.
    """
    if cell is None:
        return []
    names = cell.split(SEPARATOR) if isinstance(cell, str) else cell
    if not isinstance(names, list) or not all(type(name) in (str, int) for name in names):
        raise table.error(
            record,
            column,
            f"{cell!r:.60} is no list; write text separated by {SEPARATOR}, or a list of text",
        )
    return [name for name in (str(name).strip() for name in names) if name]


def _parse_iso(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _refuse(table: Table, column: str, wrong: pl.Series, problem: str) -> None:
    """Raise for the first record that is `wrong`, if any."""
    if wrong.any():
        record = int(wrong.arg_true()[0])
        cell = table[column][record]
        shown = "an empty cell" if cell in (None, "") else f"{cell!r:.60}"
        raise table.error(record, column, problem.format(cell=shown))
