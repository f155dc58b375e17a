"""Which items read like a new one: cosines of TF-IDF rows, as the bundle's text table was made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model_export.contract.text_vectors import SparseRows, TextEncoder
from service.live.tables import GrowingRows

_ENTRY = np.dtype([("row", np.int32), ("term", np.int32), ("weight", np.float32)])


class TextIndex:
    """The TF-IDF rows of all items, by term.

    Args:
        encoder: as training fitted it.
        texts: of the bundle's items, in row order.
    """

    def __init__(self, encoder: TextEncoder, texts: Sequence[str]) -> None:
        self._encoder = encoder
        self._size = len(texts)
        rows = encoder.tfidf(texts)
        entries = _entries(rows, 0)
        self._by_term = entries[np.argsort(entries["term"], kind="stable")]
        terms = np.arange(len(encoder.vocabulary) + 1)
        self._begin = np.searchsorted(self._by_term["term"], terms)
        self._added = GrowingRows(np.empty(0, _ENTRY))

    def add(self, text: str) -> tuple[NDArray[np.float32], SparseRows]:
        """Give the next row to a new item.

        Returns:
            (N,) cosines with the items before it; its own TF-IDF row.
        """
        own = self._encoder.tfidf([text])
        postings = [
            (self._by_term[self._begin[term] : self._begin[term + 1]], weight)
            for term, weight in zip(own.terms, own.weights, strict=True)
        ]
        cosines = np.zeros(self._size, dtype=np.float32)
        for entries, weight in postings:
            cosines[entries["row"]] += weight * entries["weight"]
        weights = np.zeros(len(self._encoder.vocabulary), dtype=np.float32)
        weights[own.terms] = own.weights
        added = self._added.view
        np.add.at(cosines, added["row"], weights[added["term"]] * added["weight"])
        for entry in _entries(own, self._size):
            self._added.append(entry)
        self._size += 1
        return cosines, own


def _entries(rows: SparseRows, first: int) -> NDArray[np.void]:
    entries = np.empty(len(rows.terms), _ENTRY)
    entries["row"] = first + np.repeat(np.arange(len(rows.offsets) - 1), np.diff(rows.offsets))
    entries["term"], entries["weight"] = rows.terms, rows.weights
    return entries
