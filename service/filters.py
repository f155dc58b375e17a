"""Filters as masks over the catalogue, which hold in every ranking and in beam search."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from copy import copy

import numpy as np
from numpy.typing import NDArray

from model_export.contract.catalog import Catalog, Item
from service.api.schemas import CategoryFilter, ItemFilter

_NO_ROWS = np.zeros(0, dtype=np.int64)


class CatalogFilter:
    """Turns the filter of a request into the items that it allows.

    Attributes:
        exists: (items,) False where a row's item is gone.
        available: (items,) which can be had.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.exists = np.ones(len(catalog), dtype=bool)
        self.available = np.array([item.available for item in catalog], dtype=bool)
        rows: dict[str, list[int]] = defaultdict(list)
        for row, item in enumerate(catalog):
            for category in item.categories:
                rows[category].append(row)
        self._rows_of_category = {
            name: np.array(found, dtype=np.int64) for name, found in rows.items()
        }

    def allowed(self, wanted: ItemFilter, without: Iterable[int]) -> NDArray[np.bool_]:
        """(items,) mask of the items that pass the filter and are not `without`."""
        mask = self.available.copy() if wanted.available_only else self.exists.copy()
        if wanted.include_items is not None:
            mask &= self._mask(self._catalog.split_known(wanted.include_items)[0])
        if wanted.categories.any is not None:
            mask &= self._in_any(wanted.categories.any)
        for category in wanted.categories.all:
            mask &= self._in_any([category])
        if wanted.categories.none:
            mask &= ~self._in_any(wanted.categories.none)
        mask[self._catalog.split_known(wanted.exclude_items)[0]] = False
        mask[list(without)] = False
        return mask

    def unknown_items(self, wanted: ItemFilter) -> list[str]:
        """Items of a filter that the catalogue lacks."""
        named = [*(wanted.include_items or ()), *wanted.exclude_items]
        return self._catalog.split_known(named)[1]

    def unknown_categories(self, wanted: CategoryFilter) -> list[str]:
        """Categories of a filter that no item has, each once."""
        named = [*(wanted.any or ()), *wanted.all, *wanted.none]
        return [name for name in dict.fromkeys(named) if not len(self._rows_in(name))]

    def after(self, catalog: Catalog, changes: Mapping[int, Item | None]) -> CatalogFilter:
        """The filter of `catalog`, which differs from the present one in some rows.

        Args:
            catalog: it may have more rows.
            changes: the items in rows that were changed or added; None for those that are gone.
        """
        filter_ = copy(self)
        more = len(catalog) - len(self.exists)
        filter_._catalog = catalog
        filter_.exists = np.append(self.exists, np.zeros(more, dtype=bool))
        filter_.available = np.append(self.available, np.zeros(more, dtype=bool))
        rows_of: dict[str, set[int]] = defaultdict(set)
        for row, item in changes.items():
            filter_.exists[row] = item is not None
            filter_.available[row] = item is not None and item.available
            before = self._catalog[row].categories if row < len(self.exists) else []
            for category in {*before, *(item.categories if item else [])}:
                rows_of[category].add(row)
        filter_._rows_of_category = dict(self._rows_of_category)
        for category, rows in rows_of.items():
            present = [
                row for row in rows if (item := changes[row]) and category in item.categories
            ]
            kept = np.setdiff1d(self._rows_in(category), list(rows))
            filter_._rows_of_category[category] = np.append(kept, present).astype(np.int64)
        return filter_

    def _in_any(self, categories: Iterable[str]) -> NDArray[np.bool_]:
        mask = np.zeros_like(self.available)
        for category in categories:
            mask[self._rows_in(category)] = True
        return mask

    def _rows_in(self, category: str) -> NDArray[np.int64]:
        return self._rows_of_category.get(category, _NO_ROWS)

    def _mask(self, rows: list[int]) -> NDArray[np.bool_]:
        mask = np.zeros_like(self.available)
        mask[rows] = True
        return mask
