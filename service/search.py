"""Finding catalogue items by what is written about them."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection
from copy import copy
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from model_export.contract.catalog import Catalog

_WORD = re.compile(r"\w+")


class CatalogSearch:
    """Finds the items that have, for each word asked for, a word that begins with it.

    Words come from the title, the id, the brand and the categories.

    Args:
        catalog: what is searched.
        popular: rows, most popular first; no others are found.
    """

    def __init__(self, catalog: Catalog, popular: NDArray[np.int64]) -> None:
        self._catalog = catalog
        self._popular = popular
        self._words = _WordIndex(catalog, range(len(catalog)))
        self._changed = _WordIndex(catalog, ())

    def after(
        self, catalog: Catalog, popular: NDArray[np.int64], changed: Collection[int]
    ) -> CatalogSearch:
        """The search of `catalog`, which differs from the one first indexed in the rows `changed`."""
        search = copy(self)
        search._catalog, search._popular = catalog, popular
        search._changed = _WordIndex(catalog, changed)
        return search

    def find(self, query: str, limit: int) -> list[int]:
        """Rows of the best `limit` items: those with all words in the title first, then by popularity.

        A query without words finds the most popular items.
        """
        asked = _words(query)
        if not asked:
            return [int(row) for row in self._popular[:limit]]
        found = self._words.having(asked) - set(self._changed.rows) | self._changed.having(asked)
        place = np.full(len(self._catalog), -1)
        place[self._popular] = np.arange(len(self._popular))
        ranked = sorted(
            (row for row in found if place[row] >= 0),
            key=lambda row: (not self._titled(row, asked), place[row]),
        )
        return ranked[:limit]

    def _titled(self, row: int, asked: list[str]) -> bool:
        title = _words(self._catalog[row].label)
        return all(any(word.startswith(prefix) for word in title) for prefix in asked)


class _WordIndex:
    """The words of some rows; made at the first search, so whoever is never searched does not pay."""

    def __init__(self, catalog: Catalog, rows: Collection[int]) -> None:
        self.rows = rows
        self._catalog = catalog
        self._making = Lock()

    def having(self, prefixes: list[str]) -> set[int]:
        """The rows that have a word with each of the prefixes."""
        with self._making:
            index = self._index
        return set.intersection(*(self._with_prefix(index, prefix) for prefix in prefixes))

    def _with_prefix(self, index: dict[str, list[int]], prefix: str) -> set[int]:
        rows: set[int] = set()
        for place in range(bisect_left(self._vocabulary, prefix), len(self._vocabulary)):
            word = self._vocabulary[place]
            if not word.startswith(prefix):
                break
            rows.update(index[word])
        return rows

    @cached_property
    def _index(self) -> dict[str, list[int]]:
        index: dict[str, list[int]] = defaultdict(list)
        for row in self.rows:
            item = self._catalog[row]
            texts = [item.title, item.item_id, item.brand, *item.categories]
            for word in set(_words(" ".join(text for text in texts if text))):
                index[word].append(row)
        return index

    @cached_property
    def _vocabulary(self) -> list[str]:
        return sorted(self._index)


def _words(text: str) -> list[str]:
    """Words in lower case and without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return _WORD.findall("".join(sign for sign in plain if not unicodedata.combining(sign)))
