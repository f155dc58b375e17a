"""Reading a catalogue."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from model_export.contract.catalog import Catalog, Item
from tests.training.data.files import EXTENSIONS, write_table, write_text
from training.data.items import catalog_of, read_items


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_format_reads_the_same(tmp_path: Path, extension: str) -> None:
    table = {
        "item_id": ["007", "7"],
        "title": ["Tent", ""],
        "categories": ["Outdoor | Tents", ""],
        "brand": ["Cairn", ""],
        "description": ["Sleeps two.", ""],
        "available": ["no", ""],
        "colour": ["green", ""],
    }
    catalog = read_items(write_table(tmp_path / f"items{extension}", table))
    assert catalog.items == [
        Item(
            item_id="007",
            title="Tent",
            categories=["Outdoor", "Tents"],
            brand="Cairn",
            description="Sleeps two.",
            available=False,
            properties={"colour": "green"},
        ),
        Item(item_id="7"),
    ]


def test_json_keeps_lists_and_types(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "items.jsonl",
        '{"item_id": 1, "title": 1984, "categories": ["a|b", "c"], "available": false, "pp": 3}\n'
        '{"item_id": "x", "pp": "three", "sizes": [1, {"eu": 42}]}\n',
    )
    first, second = read_items(path).items
    assert (first.item_id, first.title, first.categories) == ("1", "1984", ["a|b", "c"])
    assert (first.available, first.properties) == (False, {"pp": 3})
    assert second == Item(item_id="x", properties={"pp": "three", "sizes": [1, {"eu": 42}]})


def test_text_that_is_all_numbers_or_truth_values_is_read_as_such(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "items.csv",
        "item_id,price,stock,sale,ean,article,size,flag\n"
        "1,19.90,3,true,4006381333931,0012,38,yes\n"
        "2,,-1,false,40063813339310001,7,XL,no\n",
    )
    first, second = read_items(path).items
    assert first.properties == {
        "price": 19.9, "stock": 3, "sale": True,
        "ean": "4006381333931", "article": "0012", "size": "38", "flag": "yes",
    }  # fmt: skip
    assert second.properties == {
        "stock": -1, "sale": False,
        "ean": "40063813339310001", "article": "7", "size": "XL", "flag": "no",
    }  # fmt: skip


def test_parquet_keeps_lists_and_types(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pl.DataFrame(
        {
            "item_id": [1, 2],
            "categories": [["a", "b"], None],
            "available": [False, None],
            "price": [2.5, float("nan")],
        }
    ).write_parquet(path)
    first, second = read_items(path).items
    assert first == Item(
        item_id="1", categories=["a", "b"], available=False, properties={"price": 2.5}
    )
    assert second == Item(item_id="2")


def test_what_is_read_can_be_written_and_read(tmp_path: Path) -> None:
    pl.DataFrame({"item_id": ["a"]}).with_columns(
        since=pl.date(2024, 5, 31), size=pl.struct(width=1, height=pl.lit(2.5))
    ).write_parquet(tmp_path / "items.parquet")
    catalog = read_items(tmp_path / "items.parquet")
    assert catalog[0].properties == {"since": "2024-05-31", "size": {"width": 1, "height": 2.5}}
    catalog.write(tmp_path / "catalog.jsonl")
    assert Catalog.read(tmp_path / "catalog.jsonl").items == catalog.items


def test_catalog_without_an_items_file() -> None:
    assert [item.item_id for item in catalog_of(["b", "a", "b"])] == ["b", "a"]
