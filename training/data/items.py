"""The items file: what the shop says of its items."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
from pydantic_core import PydanticSerializationError, to_jsonable_python

from model_export.contract.catalog import Catalog, Item
from training.data import columns
from training.data.formats import read_table
from training.data.table import Table
from training.data.values import read_ids, read_text, split_cell

KNOWN = (
    columns.ITEM_ID,
    columns.TITLE,
    columns.CATEGORIES,
    columns.BRAND,
    columns.DESCRIPTION,
    columns.AVAILABLE,
)
PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")
"""No leading zero, no exponent, and few enough digits for every reader of JSON: those of ids are text."""
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read_items(path: Path) -> Catalog:
    """Read a catalogue in file order. Only item_id is required; unknown columns become properties.

    A column of text whose every cell is a plain number holds numbers; one of `true` and `false` alone,
    truth values.

    Raises:
        DataError: the file is wrong; names the file, the row and the column.
    """
    table = read_table(path)
    item_ids = read_ids(table, columns.ITEM_ID)
    _refuse_duplicates(table, item_ids)
    titles = _optional_text(table, columns.TITLE)
    brands = _optional_text(table, columns.BRAND)
    descriptions = _optional_text(table, columns.DESCRIPTION)
    categories = _cells(table, columns.CATEGORIES)
    available = _cells(table, columns.AVAILABLE)
    properties = {name: _typed(_cells(table, name)) for name in table.columns if name not in KNOWN}
    return Catalog(
        Item(
            item_id=item_id,
            title=titles[record],
            categories=split_cell(table, columns.CATEGORIES, record, categories[record]),
            brand=brands[record],
            description=descriptions[record],
            available=_available(table, record, available[record]),
            properties={
                name: _property(table, record, name, cells[record])
                for name, cells in properties.items()
                if cells[record] not in (None, "")
            },
        )
        for record, item_id in enumerate(item_ids)
    )


def catalog_of(item_ids: Iterable[str]) -> Catalog:
    """A catalogue where there is no items file: each id once, in order of first appearance."""
    return Catalog(Item(item_id=item_id) for item_id in dict.fromkeys(item_ids))


def _refuse_duplicates(table: Table, item_ids: pl.Series) -> None:
    repeated = (~item_ids.is_first_distinct()).arg_true()
    if len(repeated):
        record = int(repeated[0])
        first = int((item_ids == item_ids[record]).arg_true()[0])
        raise table.error(
            record,
            columns.ITEM_ID,
            f"{item_ids[record]!r} is already in row {table.rows[first]}; keep one of them",
        )


def _cells(table: Table, column: str) -> list[Any]:
    return table[column].to_list() if column in table else [None] * len(table)


def _typed(cells: list[Any]) -> list[Any]:
    """The cells of a column, read as numbers or truth values where all of them are written as such."""
    filled = [cell for cell in cells if cell not in (None, "")]
    if not all(isinstance(cell, str) for cell in filled) or not (
        all(map(PLAIN_NUMBER.fullmatch, filled)) or {"true", "false"}.issuperset(filled)
    ):
        return cells
    return [json.loads(cell) if cell else None for cell in cells]


def _optional_text(table: Table, column: str) -> list[str | None]:
    return read_text(table, column).to_list() if column in table else [None] * len(table)


def _available(table: Table, record: int, cell: Any) -> bool:
    if cell in (None, ""):
        return True
    truth = TRUTH.get(str(cell).lower())
    if truth is None:
        raise table.error(
            record, columns.AVAILABLE, f"{cell!r:.60} is not true or false; write one of them"
        )
    return truth


def _property(table: Table, record: int, name: str, cell: Any) -> Any:
    try:
        return to_jsonable_python(cell)
    except (PydanticSerializationError, ValueError) as error:
        raise table.error(
            record, name, "the value cannot be written as JSON; write text or numbers"
        ) from error
