"""Which codes may follow a prefix: the trie of all semantic IDs as one table per level.

Nodes of a level are numbered in lexicographic order of their prefixes, so the children of a node
are consecutive and the items under a node are one range of `leaf_items`. Beam search needs three
gathers a level, and whether a filtered catalogue leaves anything under a node is a difference of
prefix sums. An unknown prefix does not exist here, so a constraint can never fail open.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from model_export.contract.graph_io import trie_inputs


@dataclass(frozen=True)
class PrefixIndex:
    """Trie tables. `n_j` is the number of prefixes of length j (n_0 = 1, the empty prefix).

    Attributes:
        child_codes: per level j an (n_j, fan-out) int64 table of the codes that may come next,
            ascending, padded with -1.
        first_child: per level j an (n_j,) table: a node's first child, as a number among the
            prefixes of length j + 1.
        leaf_range: per level j an (n_{j+1}, 2) table: the range of `leaf_items` under each prefix
            of length j + 1.
        leaf_items: (items,) catalogue row of each leaf, in lexicographic order of semantic IDs.
    """

    child_codes: tuple[NDArray[np.int64], ...]
    first_child: tuple[NDArray[np.int64], ...]
    leaf_range: tuple[NDArray[np.int64], ...]
    leaf_items: NDArray[np.int64]

    @classmethod
    def build(cls, codes: NDArray[np.integer]) -> PrefixIndex:
        """Index the semantic IDs `codes` (items, levels).

        Raises:
            ValueError: two items share a semantic ID.
        """
        items, levels = codes.shape
        order = np.lexsort(codes.T[::-1]).astype(np.int64)
        ordered = codes[order].astype(np.int64)
        starts = [np.zeros(1, dtype=np.int64)]
        changed = np.zeros(items, dtype=bool)
        for level in range(levels):
            changed[1:] |= ordered[1:, level] != ordered[:-1, level]
            changed[0] = True
            starts.append(np.flatnonzero(changed))
        if len(starts[-1]) != items:
            raise ValueError("two items share a semantic ID; make the IDs collision-free first")

        child_codes, first_child, leaf_range = [], [], []
        for level in range(levels):
            parents, children = starts[level], starts[level + 1]
            first = np.searchsorted(children, parents)
            count = np.diff(np.append(first, len(children)))
            table = np.full((len(parents), count.max()), -1, dtype=np.int64)
            slot = np.arange(len(children)) - np.repeat(first, count)
            table[np.repeat(np.arange(len(parents)), count), slot] = ordered[children, level]
            child_codes.append(table)
            first_child.append(first.astype(np.int64))
            leaf_range.append(np.stack([children, np.append(children[1:], items)], axis=1))
        return cls(tuple(child_codes), tuple(first_child), tuple(leaf_range), order)

    @property
    def levels(self) -> int:
        return len(self.child_codes)

    def tables(self) -> dict[str, NDArray[np.int64]]:
        """The tables of each level, under the names of `trie_inputs`."""
        by_level = zip(self.child_codes, self.first_child, self.leaf_range, strict=True)
        return dict(zip(trie_inputs(self.levels), chain.from_iterable(by_level), strict=True))
