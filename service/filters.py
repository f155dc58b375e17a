"""Filters as masks over the catalogue, which hold in every ranking and in beam search."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from model_export.contract.catalog import Catalog
from service.api.schemas import ItemFilter


class CatalogFilter:
    """Turns the filter of a request into the items that it allows."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.available = np.array([item.available for item in catalog], dtype=bool)
        rows: dict[str, list[int]] = defaultdict(list)
        for row, item in enumerate(catalog):
            for category in item.categories:
                rows[category].append(row)
        self._rows_of_category = {name: np.array(found) for name, found in rows.items()}

    def allowed(self, wanted: ItemFilter, without: Iterable[int]) -> NDArray[np.bool_]:
        """(items,) mask of the items that pass the filter and are not `without`."""
        mask = self.available.copy() if wanted.available_only else np.ones_like(self.available)
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

    def _in_any(self, categories: Iterable[str]) -> NDArray[np.bool_]:
        mask = np.zeros_like(self.available)
        for category in categories:
            mask[self._rows_of_category.get(category, [])] = True
        return mask

    def _mask(self, rows: list[int]) -> NDArray[np.bool_]:
        mask = np.zeros_like(self.available)
        mask[rows] = True
        return mask
