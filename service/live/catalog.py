"""The catalogue of a bundle with items changed, added and taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from model_export.contract.catalog import Catalog, Item


class LiveCatalog(Catalog):
    """A catalogue over another, of which only the differences are kept.

    A row is never given to another item: an item that is gone keeps its row, but nobody finds it there
    by its id.

    Args:
        base: the catalogue of the bundle.
        changed: items in place of those of `base`, and added ones, by row.
        rows: rows of added items and None for items that are gone, by id.
        size: rows in all.
    """

    def __init__(
        self,
        base: Catalog,
        changed: Mapping[int, Item],
        rows: Mapping[str, int | None],
        size: int,
    ) -> None:
        self._base = base
        self._changed = changed
        self._moved = rows
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Item]:
        return (self[row] for row in range(self._size))

    def __getitem__(self, row: int) -> Item:
        return self._changed.get(row) or self._base[row]

    def row(self, item_id: str) -> int | None:
        """The row of an item, or None where the catalogue lacks it (now)."""
        if item_id in self._moved:
            return self._moved[item_id]
        return self._base.row(item_id)
