"""Every kind of wrong input gets one sentence that names the file, the row and the column."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from model_export.contract.errors import DataError
from tests.training.data.files import write_bytes, write_text
from training.data import lines
from training.data.interactions import read_interactions
from training.data.items import read_items

GOOD = b"user_id,item_id,timestamp\nu1,i1,1\n"

INTERACTIONS = {
    "missing column": (
        "a.csv",
        b"user,item_id\nu1,i1\n",
        "a.csv has no column user_id; it has user, item_id. Rename or add the column",
    ),
    "unknown extension": ("a.xlsx", GOOD, "a.xlsx has an unknown extension; use .csv"),
    "empty csv": ("a.csv", b"", "a.csv is empty; it needs a header and at least one row"),
    "header only": ("a.csv", b"user_id,item_id\n", "a.csv has no rows"),
    "empty jsonl": ("a.jsonl", b"", "a.jsonl has no rows"),
    "blank jsonl": ("a.jsonl", b"\n \n", "a.jsonl has no rows"),
    "no parquet": ("a.parquet", GOOD, "a.parquet is not a valid Parquet file"),
    "no gzip": ("b.csv.gz", None, "b.csv.gz cannot be read: Not a gzipped file"),
    "latin-1": (
        "a.csv",
        GOOD + "u2,caf\xe9,2\n".encode("latin-1"),
        "a.csv, row 3: byte 7 of the line (0xe9) is not UTF-8; save the file as UTF-8",
    ),
    "utf-16": ("a.csv", GOOD.decode().encode("utf-16"), "a.csv, row 1: byte 4 of the line is NUL"),
    "NUL": ("a.csv.gz", GOOD + b"u2,i\x002,2\n", "a.csv.gz, row 3: byte 5 of the line is NUL"),
    "short row": ("a.csv", GOOD + b"u2,i2\n", "a.csv, row 3: 2 cells, but the header has 3"),
    "long row": ("a.csv", GOOD + b"u2,i,2,2\n", "a.csv, row 3: 4 cells, but the header has 3"),
    "open quote": ("a.csv", GOOD + b'u2,"i2,2\n\n', "a.csv, row 3: not valid CSV"),
    "unnamed column": ("a.csv", b",user_id,item_id\n0,a,b\n", "row 1: column 1 has no name"),
    "column twice": ("a.csv", b"user_id,user_id\na,b\n", "row 1: 2 columns are named user_id"),
    "no json": ("a.jsonl", b'{"user_id": 1}\nuser\n', "a.jsonl, row 2: not valid JSON"),
    "json list": ("a.jsonl", b"[1, 2]\n", "a.jsonl, row 1: not a JSON object"),
    "json overflow": ("a.jsonl", b'{"user_id": 1e999}\n', "a.jsonl, row 1: not valid JSON (Out of"),
    "json surrogate": ("a.jsonl", b'{"user_id": "\\ud800"}\n', "a.jsonl, row 1: not valid JSON"),
    "json NaN": ("a.jsonl", b'{"user_id": NaN}\n', "a.jsonl, row 1: not valid JSON (NaN is not"),
    "empty user": (
        "a.csv",
        GOOD + b",i2,2\n",
        "a.csv, row 3, column user_id: the id is empty; fill it in or remove the row",
    ),
    "null item": (
        "a.jsonl",
        b'{"user_id": 1, "item_id": null}\n',
        "a.jsonl, row 1, column item_id: the id is empty",
    ),
    "decimal id": (
        "a.jsonl",
        b'{"user_id": 1, "item_id": 2}\n{"user_id": 1, "item_id": 7.0}\n',
        "a.jsonl, row 2, column item_id: a decimal number is no id",
    ),
    "nested id": (
        "a.jsonl",
        b'{"user_id": [1], "item_id": 7}\n',
        "a.jsonl, row 1, column user_id: [1] is not text",
    ),
    "timestamp": (
        "a.csv",
        GOOD + b"u2,i2,yesterday\n",
        "a.csv, row 3, column timestamp: 'yesterday' is not a time; write Unix seconds or ISO 8601",
    ),
    "no timestamp": (
        "a.csv",
        GOOD + b"u2,i2,\n",
        "a.csv, row 3, column timestamp: an empty cell is not a time",
    ),
    "infinite timestamp": ("a.csv", GOOD + b"u2,i2,inf\n", "row 3, column timestamp: 'inf' is no"),
    "milliseconds": (
        "a.csv",
        GOOD + b"u2,i2,1717180200000\n",
        "a.csv, row 3, column timestamp: '1717180200000' is no time in Unix seconds; "
        "divide milliseconds by 1000",
    ),
}

ITEMS = {
    "duplicate": (
        "i.csv",
        b"item_id,title\na,A\nb,B\na,C\n",
        "i.csv, row 4, column item_id: 'a' is already in row 2; keep one of them",
    ),
    "missing column": ("i.csv", b"id,title\na,A\n", "i.csv has no column item_id"),
    "available": (
        "i.csv",
        b"item_id,available\na,true\nb,maybe\n",
        "i.csv, row 3, column available: 'maybe' is not true or false",
    ),
    "categories": (
        "i.jsonl",
        b'{"item_id": "a", "categories": [true]}\n',
        "i.jsonl, row 1, column categories: [True] is no list",
    ),
    "title": (
        "i.jsonl",
        b'{"item_id": "a", "title": {"en": "A"}}\n',
        "i.jsonl, row 1, column title: {'en': 'A'} is not text",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), INTERACTIONS.values(), ids=INTERACTIONS)
def test_interactions(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is None:
        path.write_bytes(GOOD)
    else:
        write_bytes(path, content)
    with pytest.raises(DataError) as error:
        read_interactions(path)
    assert message in str(error.value)


@pytest.mark.parametrize(("name", "content", "message"), ITEMS.values(), ids=ITEMS)
def test_items(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError) as error:
        read_items(write_bytes(tmp_path / name, content))
    assert message in str(error.value)


def test_ids_that_pandas_turned_into_floats(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"user_id": [1.0, 2.0], "item_id": [1, 2]}).write_parquet(path)
    with pytest.raises(DataError, match="row 1, column user_id: a decimal number is no id"):
        read_interactions(path)


def test_property_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"item_id": ["a"], "image": [b"\xff"]}).write_parquet(path)
    with pytest.raises(DataError, match="row 1, column image: the value cannot be written as JSON"):
        read_items(path)


@pytest.mark.parametrize("extension", [".csv", ".csv.gz", ".jsonl", ".parquet"])
def test_missing_file(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    with pytest.raises(DataError, match="cannot be read: No such file or directory; check"):
        read_interactions(path)
    path.mkdir()
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_interactions(path)


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1000)
    path = write_text(tmp_path / "a.csv", "user_id,item_id\nu,i\n" + "x" * 5000)
    with pytest.raises(DataError, match="row 3: the line is longer than 1,000 bytes"):
        read_interactions(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_rating": 4}, "has no column rating"),
        ({"event_types": ["buy"]}, "has no column event_type"),
    ],
)
def test_filter_on_a_column_that_is_not_there(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_interactions(write_bytes(tmp_path / "a.csv", GOOD), **options)  # type: ignore[arg-type]
