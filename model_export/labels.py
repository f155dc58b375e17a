"""Human labels of codes: what sets the items under a code apart from all others.

The words (of titles, categories and brands) that are frequent under the code and rare elsewhere; where items
have no text, the ids of its most popular items.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from model_export.contract.catalog import Catalog, Item
from model_export.contract.text_vectors import text_terms

WORDS = 3
"""Words in one label."""
MIN_LENGTH = 3
"""Shorter words say nothing to a person."""


def code_labels(
    catalog: Catalog,
    codes: NDArray[np.int64],
    sizes: tuple[int, ...],
    popularity: NDArray[np.int64],
) -> list[list[str]]:
    """One label for each code of each level.

    Args:
        codes: (N, levels) semantic IDs.
        sizes: codes per level.
        popularity: (N,) interactions of each item.
    """
    words = [_words(item) for item in catalog]
    overall = Counter(word for item_words in words for word in item_words)
    return [
        [
            _label(np.flatnonzero(codes[:, level] == code), words, overall, catalog, popularity)
            for code in range(size)
        ]
        for level, size in enumerate(sizes)
    ]


def _words(item: Item) -> set[str]:
    text = " ".join([item.title or "", *item.categories, item.brand or ""])
    return {word for word in text_terms(text) if len(word) >= MIN_LENGTH and not word.isdigit()}


def _label(
    rows: NDArray[np.int64],
    words: list[set[str]],
    overall: Counter[str],
    catalog: Catalog,
    popularity: NDArray[np.int64],
) -> str:
    if not len(rows):
        return "unused"
    here = Counter(word for row in rows for word in words[row])
    everywhere = len(words)

    def distinction(word: str) -> float:
        share, background = here[word] / len(rows), overall[word] / everywhere
        return float(share * np.log(share / background))

    best = sorted(here, key=lambda word: (-distinction(word), word))[:WORDS]
    telling = [word for word in best if distinction(word) > 0]
    if telling:
        return ", ".join(telling)
    examples = rows[np.argsort(-popularity[rows], kind="stable")][:2]
    return "like " + " and ".join(catalog[int(row)].label for row in examples)
