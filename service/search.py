"""Finding catalogue items by what is written about them."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from model_export.contract.catalog import Catalog

_WORD = re.compile(r"\w+")


class CatalogSearch:
    """Finds the items that have, for each word asked for, a word that begins with it.

    Words come from the title, the id, the brand and the categories. The index is made at the first
    search: a service that is never searched does not pay for it.

    Args:
        catalog: what is searched.
        popular: (items,) rows, most popular first.
    """

    def __init__(self, catalog: Catalog, popular: NDArray[np.int64]) -> None:
        self._catalog = catalog
        self._popular = popular
        self._making = Lock()

    def find(self, query: str, limit: int) -> list[int]:
        """Rows of the best `limit` items: those with all words in the title first, then by popularity.

        A query without words finds the most popular items.
        """
        with self._making:
            index = self._index
        asked = _words(query)
        if not asked:
            return [int(row) for row in self._popular[:limit]]
        found = set.intersection(*(self._with_prefix(index, word) for word in asked))
        ranked = sorted(found, key=lambda row: (not self._titled(row, asked), self._place[row]))
        return ranked[:limit]

    def _with_prefix(self, index: dict[str, list[int]], prefix: str) -> set[int]:
        rows: set[int] = set()
        for place in range(bisect_left(self._vocabulary, prefix), len(self._vocabulary)):
            word = self._vocabulary[place]
            if not word.startswith(prefix):
                break
            rows.update(index[word])
        return rows

    def _titled(self, row: int, asked: list[str]) -> bool:
        title = _words(self._catalog[row].label)
        return all(any(word.startswith(prefix) for word in title) for prefix in asked)

    @cached_property
    def _index(self) -> dict[str, list[int]]:
        index: dict[str, list[int]] = defaultdict(list)
        for row, item in enumerate(self._catalog):
            texts = [item.title, item.item_id, item.brand, *item.categories]
            for word in set(_words(" ".join(text for text in texts if text))):
                index[word].append(row)
        return index

    @cached_property
    def _vocabulary(self) -> list[str]:
        return sorted(self._index)

    @cached_property
    def _place(self) -> NDArray[np.int64]:
        return np.argsort(self._popular)


def _words(text: str) -> list[str]:
    """Words in lower case and without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return _WORD.findall("".join(sign for sign in plain if not unicodedata.combining(sign)))
