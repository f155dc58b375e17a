"""CSV, JSONL and Parquet files, plain or gzip, read into tables."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from model_export.contract.errors import DataError
from training.data.lines import MAX_LINE_BYTES, read_lines
from training.data.table import Table

MAX_COLUMNS = 10_000
"""No table of interactions or items has more; a header without line ends does."""

CSV_BATCH = 1 << 16
"""Records that are held as Python objects at a time."""


def read_table(path: Path) -> Table:
    """Read a whole file; its extension says the format.

    Raises:
        DataError: the extension is unknown, or the file is unreadable, malformed or without rows.
    """
    table = _reader(path)(path)
    if len(table) == 0:
        raise DataError(f"{path} has no rows; check that it was written completely")
    return table


def check_file(path: Path) -> None:
    """Refuse at once what `read_table` could not begin to read.

    Raises:
        DataError: the extension is unknown, or the file is unreadable.
    """
    _reader(path)
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; check the path") from error


def _reader(path: Path) -> Callable[[Path], Table]:
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return _read_csv
    if name.endswith((".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")):
        return _read_jsonl
    if name.endswith(".parquet"):
        return _read_parquet
    raise DataError(
        f"{path} has an unknown extension; use .csv, .jsonl, .ndjson (plain or .gz) or .parquet"
    )


def _read_csv(path: Path) -> Table:
    records = _csv_records(path)
    header = next(records, None)
    if header is None:
        raise DataError(f"{path} is empty; it needs a header and at least one row")
    names = [str(name) for name in header[1:]]
    _check_names(path, names)

    schema = dict.fromkeys(names, pl.String)
    rows, frames = [pl.Series([], dtype=pl.Int64)], [pl.DataFrame(schema=schema)]
    while batch := list(islice(records, CSV_BATCH)):
        batch_rows, *columns = zip(*batch, strict=True)
        rows.append(pl.Series(batch_rows, dtype=pl.Int64))
        frames.append(pl.DataFrame(dict(zip(names, columns, strict=True)), schema=schema))
    return Table(path, pl.concat(frames).to_dict(), pl.concat(rows))


def _csv_records(path: Path) -> Iterator[tuple[int | str, ...]]:
    """Yield (row, cell, …), the header first, all with as many cells; blank lines are skipped."""
    csv.field_size_limit(MAX_LINE_BYTES)
    width = None
    row = 1
    try:
        with closing(read_lines(path)) as lines:
            reader = csv.reader(lines, strict=True)
            for record in reader:
                if record:
                    width = width or len(record)
                    if len(record) != width:
                        raise DataError(
                            f"{path}, row {row}: {len(record)} cells, but the header has {width}; "
                            "quote cells that hold commas"
                        )
                    yield (row, *record)
                row = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, row {row}: not valid CSV ({error}); check the quotes") from error


def _check_names(path: Path, names: list[str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise DataError(
            f"{path}, row 1: {len(names):,} columns are more than {MAX_COLUMNS:,}; check the line ends"
        )
    if "" in names:
        number = names.index("") + 1
        raise DataError(f"{path}, row 1: column {number} has no name; name or remove it")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"{path}, row 1: {count} columns are named {name}; rename or remove one")


def _read_jsonl(path: Path) -> Table:
    rows: list[int] = []
    columns: dict[str, list[Any]] = {}
    with closing(read_lines(path)) as lines:
        for row, line in enumerate(lines, start=1):
            if line.isspace():
                continue
            for name, value in _json_object(path, row, line).items():
                column = columns.setdefault(name, [])
                column.extend([None] * (len(rows) - len(column)))
                column.append(value)
            rows.append(row)
    for column in columns.values():
        column.extend([None] * (len(rows) - len(column)))
    series = {name: _json_series(name, values) for name, values in columns.items()}
    return Table(path, series, pl.Series(rows, dtype=pl.Int64))


def _json_object(path: Path, row: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line, parse_constant=_refuse_constant)
        # An escaped lone surrogate is no text and 1e999 no number, but Python reads both.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}, row {row}: not valid JSON ({error}); write one JSON object a line"
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"{path}, row {row}: not a JSON object; write one JSON object a line")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _json_series(name: str, values: list[Any]) -> pl.Series:
    only_text = all(value is None or isinstance(value, str) for value in values)
    return pl.Series(name, values, dtype=pl.String if only_text else pl.Object)


def _read_parquet(path: Path) -> Table:
    try:
        with path.open("rb") as file:
            frame = pl.read_parquet(file)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; check the path") from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"{path} is not a valid Parquet file ({error}); write it again") from error
    rows = pl.int_range(1, frame.height + 1, dtype=pl.Int64, eager=True)
    return Table(path, frame.fill_nan(None).to_dict(), rows)  # pandas writes missing numbers as NaN
