"""Tables of a bundle with some rows replaced and others added, without copying them.

Rows are written once and never changed, so that a snapshot which a request holds stays as it is while
the next one is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING

_SPARE = 1024
"""Rows that are kept free, and outdated rows that are borne before they are dropped."""


class GrowingRows:
    """An array to which rows are added.

    Args:
        first: (N, …) the rows that it begins with; not copied before one is added.
    """

    def __init__(self, first: NDArray[Any]) -> None:
        self._rows = first
        self._used = len(first)

    def append(self, row: NDArray[Any] | float) -> None:
        """Add one row; views taken before stay as they are."""
        if self._used == len(self._rows):
            size = self._used + self._used // 8 + _SPARE
            grown = np.empty((size, *self._rows.shape[1:]), self._rows.dtype)
            grown[: self._used] = self._rows
            self._rows = grown
        self._rows[self._used] = row
        self._used += 1

    def __len__(self) -> int:
        return self._used

    @property
    def view(self) -> NDArray[Any]:
        """All rows so far."""
        return self._rows[: self._used]


@dataclass(frozen=True)
class PatchedRows:
    """Rows of `base`, or those that stand in their place.

    Attributes:
        base: (M, width).
        slots: (N,) where a row stands in `patches`, -1 for the row of `base`.
        patches: (P, width).
    """

    base: NDArray[Any]
    slots: NDArray[np.int32]
    patches: NDArray[Any]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.slots), self.base.shape[1]

    def __len__(self) -> int:
        return len(self.slots)

    def __getitem__(
        self, place: NDArray[np.integer] | tuple[NDArray[np.integer], NDArray[np.integer]]
    ) -> NDArray[Any]:
        """Rows (R,) give (R, width); rows and columns (R,) give (R,)."""
        if isinstance(place, tuple):
            rows, columns = place
            entries: NDArray[Any] = self[rows][np.arange(len(rows)), columns]
            return entries
        rows = place
        slots = self.slots[rows]
        patched = slots >= 0
        found: NDArray[Any] = self.base[np.where(patched, 0, rows)]
        found[patched] = self.patches[slots[patched]]
        return found


class TableEditor:
    """Makes neighbour tables out of that of a bundle; a new item has no neighbours at first."""

    def __init__(self, base: NeighbourTable) -> None:
        self._base = base
        self._width = base.items.shape[1]
        self._slots = np.full(len(base.items), -1, dtype=np.int32)
        self._items = GrowingRows(np.full((1, self._width), PADDING, base.items.dtype))
        self._weights = GrowingRows(np.zeros((1, self._width), base.weights.dtype))
        self._edited: set[int] = set()

    @property
    def width(self) -> int:
        """Neighbours of one item at most."""
        return int(self._width)

    def original(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The neighbours of an item in the bundle and their weights; none of a new item."""
        if row >= len(self._base.items):
            return _known(self._items.view[0], self._weights.view[0])
        return _known(self._base.items[row], self._base.weights[row])

    def row(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The neighbours of an item and their weights, strongest first."""
        slot = self._slots[row]
        if slot < 0:
            return self.original(row)
        return _known(self._items.view[slot], self._weights.view[slot])

    def rows(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        """(count, width) neighbours of several items and their weights, padded with PADDING."""
        return (
            PatchedRows(self._base.items, self._slots, self._items.view)[rows],
            PatchedRows(self._base.weights, self._slots, self._weights.view)[rows],
        )

    def weakest(self) -> NDArray[np.float32]:
        """(N,) weight that a neighbour must exceed to find a place."""
        weakest: NDArray[np.float32] = np.zeros(len(self._slots), np.float32)
        weakest[: len(self._base.items)] = self._base.weights[:, -1]
        edited = self._slots >= 0
        weakest[edited] = self._weights.view[self._slots[edited], -1]
        return weakest

    def grow(self) -> None:
        """Add one item."""
        self._slots = np.append(self._slots, np.int32(0))

    def put(self, row: int, items: NDArray[np.integer], weights: NDArray[np.floating]) -> None:
        """Give an item the strongest of these distinct neighbours in place of those that it has."""
        best = np.argsort(-weights, kind="stable")[: self._width]
        best = best[weights[best] > 0]
        line = np.full(self._width, PADDING, dtype=np.int64)
        line_weights = np.zeros(self._width, dtype=np.float32)
        line[: len(best)], line_weights[: len(best)] = items[best], weights[best]
        self._slots[row] = len(self._items)
        self._items.append(line)
        self._weights.append(line_weights)
        self._edited.add(row)

    def insert(self, row: int, item: int, weight: float) -> None:
        """Give an item one more neighbour, or another weight to one that it has."""
        items, weights = self.row(row)
        others = items != item
        self.put(row, np.append(items[others], item), np.append(weights[others], weight))

    def freeze(self) -> NeighbourTable:
        """The table as it is now."""
        if len(self._items) > 2 * len(self._edited) + _SPARE:
            self._drop_outdated()
        slots = self._slots.copy()
        items = PatchedRows(self._base.items, slots, self._items.view)
        weights = PatchedRows(self._base.weights, slots, self._weights.view)
        # They answer to all that a table asks of its arrays.
        return NeighbourTable(
            cast("NDArray[np.integer]", items), cast("NDArray[np.floating]", weights)
        )

    def _drop_outdated(self) -> None:
        rows = np.array(sorted(self._edited), dtype=np.int64)
        kept = np.concatenate([[0], self._slots[rows]])
        self._items = GrowingRows(self._items.view[kept])
        self._weights = GrowingRows(self._weights.view[kept])
        self._slots[rows] = np.arange(1, len(kept))


def _known(
    items: NDArray[np.integer], weights: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    known = items != PADDING
    return items[known].astype(np.int64), weights[known].astype(np.float32)
