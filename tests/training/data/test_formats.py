"""Any valid table survives every format; anything else is a DataError and nothing worse."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from model_export.contract.errors import DataError
from tests.training.data.files import EXTENSIONS, write_bytes, write_table, write_text
from training.data.formats import read_table
from training.data.interactions import read_interactions
from training.data.items import read_items
from training.data.values import read_ids, read_text

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
IDS = TEXT.filter(bool)
SHARED_FOLDER = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("extension", EXTENSIONS)
@SHARED_FOLDER
@given(rows=st.lists(st.tuples(IDS, IDS, TEXT), min_size=1, max_size=8))
@example(rows=[("007", '"', 'a "quoted", two-\r\nline cell'), ("7.0", "é|☃", "")])
def test_a_table_round_trips(
    tmp_path: Path, extension: str, rows: list[tuple[str, str, str]]
) -> None:
    users, items, titles = zip(*rows, strict=True)
    path = tmp_path / f"table{extension}"
    table = read_table(write_table(path, {"user_id": users, "item_id": items, "title": titles}))
    assert read_ids(table, "user_id").to_list() == list(users)
    assert read_ids(table, "item_id").to_list() == list(items)
    assert read_text(table, "title").to_list() == [title or None for title in titles]


@pytest.mark.parametrize("extension", EXTENSIONS)
@SHARED_FOLDER
@given(content=st.binary(max_size=200))
@example(content=b"item_id,user_id\n")
@example(content=b"PAR1" + bytes(40) + b"PAR1")
@example(content=b'{"item_id": ' + b"[" * 5000)
@example(content=b'{"item_id": "\\ud800", "user_id": 1}')
@example(content=b'{"item_id": {}, "user_id": true}')
def test_random_bytes_are_a_data_error(tmp_path: Path, extension: str, content: bytes) -> None:
    path = write_bytes(tmp_path / f"table{extension}", content)
    with suppress(DataError):
        read_interactions(path)
    with suppress(DataError):
        read_items(path)


@pytest.mark.parametrize("extension", [".csv", ".jsonl"])
@SHARED_FOLDER
@given(content=st.text('uitem_sr,\n\r"{}[]:1.e-nul\\ ', max_size=60))
def test_almost_valid_text_is_a_data_error(tmp_path: Path, extension: str, content: str) -> None:
    start = "item_id,user_id\n" if extension == ".csv" else '{"item_id": "a", "user_id": 1}\n'
    path = write_text(tmp_path / f"table{extension}", start + content)
    with suppress(DataError):
        read_interactions(path)
    with suppress(DataError):
        read_items(path)


@SHARED_FOLDER
@given(st.data())
def test_cut_gzip_is_a_data_error(tmp_path: Path, data: st.DataObject) -> None:
    path = write_text(tmp_path / "table.csv.gz", "user_id,item_id\n" + "u,i\n" * 50)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(DataError):
        read_table(path)


@SHARED_FOLDER
@given(st.data())
def test_cut_parquet_is_a_data_error(tmp_path: Path, data: st.DataObject) -> None:
    path = write_table(tmp_path / "table.parquet", {"user_id": ["a", "b"], "item_id": ["1", "2"]})
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(DataError):
        read_table(path)


def test_rows_are_lines_of_the_file(tmp_path: Path) -> None:
    path = write_text(tmp_path / "table.csv", '\ufeffa,b\r\n1,"x\ny"\r\n\r\n2,z')
    table = read_table(path)
    assert table["a"].to_list() == ["1", "2"]
    assert table["b"].to_list() == ["x\ny", "z"]
    assert table.rows.to_list() == [2, 5]


def test_more_records_than_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.formats.CSV_BATCH", 3)
    path = write_table(tmp_path / "table.csv", {"a": [str(n) for n in range(10)]})
    table = read_table(path)
    assert table["a"].to_list() == [str(n) for n in range(10)]
    assert table.rows.to_list() == list(range(2, 12))


def test_json_records_may_lack_keys(tmp_path: Path) -> None:
    path = write_text(tmp_path / "table.jsonl", '{"a": 1}\n\n{"b": "x"}\n{"a": [2], "b": "y"}\n')
    table = read_table(path)
    assert table["a"].to_list() == [1, None, [2]]
    assert table["b"].to_list() == [None, "x", "y"]
    assert table.rows.to_list() == [1, 3, 4]
