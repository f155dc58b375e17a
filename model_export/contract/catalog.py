"""The catalogue: external item ids, their rows in every table, and what is shown of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from model_export.contract.errors import BundleError


class Item(BaseModel):
    """One catalogue item as its owner described it."""

    model_config = ConfigDict(extra="forbid")

    item_id: str
    title: str | None = None
    categories: list[str] = Field(default_factory=list)
    brand: str | None = None
    description: str | None = None
    available: bool = True
    properties: dict[str, Any] = Field(default_factory=dict)

    @property
    def label(self) -> str:
        """What a person reads: the title, or the id where there is none."""
        return self.title or self.item_id

    @property
    def text(self) -> str:
        """Everything that is written about the item, for text vectors."""
        parts = [self.title, *self.categories, self.brand, self.description]
        return " ".join(part for part in parts if part)


class Catalog:
    """Items in row order; rows are what every table and graph counts in."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.items = list(items)
        self._rows = {item.item_id: row for row, item in enumerate(self.items)}
        if len(self._rows) != len(self.items):
            raise ValueError("item ids must be unique")

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __getitem__(self, row: int) -> Item:
        return self.items[row]

    def row(self, item_id: str) -> int | None:
        """The row of an item, or None where the catalogue lacks it."""
        return self._rows.get(item_id)

    def split_known(self, item_ids: Iterable[str]) -> tuple[list[int], list[str]]:
        """Rows of the known items in order, and the ids that the catalogue lacks."""
        rows: list[int] = []
        unknown: list[str] = []
        for item_id in item_ids:
            row = self.row(item_id)
            if row is None:
                unknown.append(item_id)
            else:
                rows.append(row)
        return rows, unknown

    def write(self, path: Path) -> None:
        """One JSON object a line."""
        with path.open("w", encoding="utf-8") as file:
            for item in self.items:
                file.write(item.model_dump_json(exclude_defaults=True) + "\n")

    @classmethod
    def read(cls, path: Path) -> Catalog:
        """Read what `write` wrote.

        Raises:
            BundleError: the file is missing or a line is not an item.
        """
        try:
            with path.open(encoding="utf-8") as file:
                return cls(map(Item.model_validate_json, file))
        except (OSError, ValueError) as error:
            raise BundleError(f"the catalogue {path} cannot be read: {error}") from error
