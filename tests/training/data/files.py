"""Writers of test input in every supported format."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

TEXT_EXTENSIONS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
EXTENSIONS = (*TEXT_EXTENSIONS, ".parquet")


def write_text(path: Path, text: str) -> Path:
    """Write text, compressed where the extension says so."""
    return write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_table(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """Write columns of equal length in the format of the extension."""
    rows = list(zip(*columns.values(), strict=True))
    if path.suffix == ".parquet":
        pl.DataFrame(columns).write_parquet(path)
    elif ".csv" in path.suffixes:
        buffer = io.StringIO(newline="")
        csv.writer(buffer).writerows([tuple(columns), *rows])
        write_text(path, buffer.getvalue())
    else:
        lines = (json.dumps(dict(zip(columns, row, strict=True))) for row in rows)
        write_text(path, "\n".join(lines))
    return path
