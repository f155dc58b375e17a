"""Reading interactions: time in every notation, filters, opaque ids."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from model_export.contract.errors import DataError
from tests.training.data.files import EXTENSIONS, write_table
from training.data.interactions import read_interactions

TABLE: dict[str, list[Any]] = {
    "user_id": ["007", "7", "007", "7"],
    "item_id": ["a", "b", "b", "a"],
    "timestamp": [30, 10.5, 20, 10],
    "rating": [5, 3, 4, 1.5],
    "event_type": ["buy", "view", "buy", "cart"],
}


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_format_reads_the_same(tmp_path: Path, extension: str) -> None:
    table = {**TABLE, "timestamp": [30.0, 10.5, 20.0, 10.0], "rating": [5.0, 3.0, 4.0, 1.5]}
    found = read_interactions(write_table(tmp_path / f"a{extension}", table))
    assert found.frame["user_id"].to_list() == TABLE["user_id"]
    assert found.frame["item_id"].to_list() == TABLE["item_id"]
    assert found.frame["timestamp"].to_list() == TABLE["timestamp"]
    assert (found.read, found.filtered) == (4, {})


def test_integer_ids_become_their_digits(tmp_path: Path) -> None:
    for extension in (".jsonl", ".parquet"):
        path = write_table(tmp_path / f"a{extension}", {"user_id": [7], "item_id": [10**15]})
        frame = read_interactions(path).frame
        assert frame.select("user_id", "item_id").rows() == [("7", str(10**15))]
        assert "timestamp" not in frame.columns


@pytest.mark.parametrize(
    "written",
    [
        "1717180200",
        "1717180200.0",
        "1.7171802e9",
        "2024-05-31T18:30:00Z",
        "2024-05-31 18:30",
        "2024-05-31T20:30:00.000+02:00",
        "20240531T183000",
    ],
)
def test_notations_of_one_moment(tmp_path: Path, written: str) -> None:
    table = {"user_id": ["u", "u"], "item_id": ["i", "j"], "timestamp": [written, "0"]}
    for extension in (".csv", ".jsonl", ".parquet"):
        frame = read_interactions(write_table(tmp_path / f"a{extension}", table)).frame
        assert frame["timestamp"].to_list() == [1717180200.0, 0.0]


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        (date(2024, 5, 31), 1717113600.0),
        (datetime(2024, 5, 31, 18, 30), 1717180200.0),
        (datetime(2024, 5, 31, 18, 30, tzinfo=UTC), 1717180200.0),
        (1717180200, 1717180200.0),
    ],
)
def test_typed_moments_of_parquet(tmp_path: Path, moment: object, seconds: float) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"user_id": ["u"], "item_id": ["i"], "timestamp": [moment]}).write_parquet(path)
    assert read_interactions(path).frame["timestamp"].to_list() == [seconds]


def test_filters_count_what_they_drop(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", TABLE)
    found = read_interactions(path, min_rating=3, event_types=["buy", "cart"])
    assert found.frame["row"].to_list() == [2, 4]
    assert found.filtered == {"rating below 3": 1, "event type not buy or cart": 1}
    assert found.read == 4


def test_event_types_that_no_row_has_are_told_beside_those_that_there_are(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", TABLE)
    with pytest.raises(
        DataError, match="no row with the event_type purchase or order; it has buy, v"
    ):
        read_interactions(path, event_types=["purchase", "order"])
    assert read_interactions(path, event_types=["purchase", "buy"]).frame.height == 2


def test_a_rating_filter_needs_every_rating(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", {**TABLE, "rating": ["5", "", "3", "4"]})
    assert read_interactions(path).read == 4
    with pytest.raises(DataError, match="row 3, column rating: an empty cell is not a number"):
        read_interactions(path, min_rating=3)
