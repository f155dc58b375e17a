"""A raw file as columns that know which row of the file each cell came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from model_export.contract.errors import DataError


@dataclass(frozen=True)
class Table:
    """The records of one file, in file order, not yet interpreted.

    Attributes:
        path: the file.
        columns: one series a column, all of one length. CSV gives text only; JSONL gives text, or
            Python values (`pl.Object`) where a column holds anything else; Parquet keeps its types.
        rows: (records,) int64, where each record starts in the file. Text files count lines from 1,
            a CSV header included; Parquet counts records from 1.
    """

    path: Path
    columns: dict[str, pl.Series]
    rows: pl.Series

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def __getitem__(self, column: str) -> pl.Series:
        """One column.

        Raises:
            DataError: the file lacks the column.
        """
        if column not in self.columns:
            raise DataError(
                f"{self.path} has no column {column}; it has {', '.join(self.columns)}. "
                "Rename or add the column"
            )
        return self.columns[column]

    def error(self, record: int, column: str, problem: str) -> DataError:
        """What to raise when a cell is wrong; `record` counts from 0."""
        return DataError(f"{self.path}, row {self.rows[record]}, column {column}: {problem}")
