"""Why each item: which items of the history it follows, and which it is like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_export.contract.evidence import NeighbourTable
from service.api.explanation import ReasonKind

_NAMED = 2
"""History items that one reason names at most."""
_DECAY = 0.8
"""Weight of a history position against the one after it, as in the scores."""

Reasons = list[tuple[ReasonKind, list[int]]]


@dataclass(frozen=True)
class ReasonFinder:
    """Looks reasons up in the same evidence that the score was made from.

    Attributes:
        memory: what followed what.
        text: what reads alike.
    """

    memory: NeighbourTable
    text: NeighbourTable

    def find(
        self, history: Sequence[int], rows: NDArray[np.int64], ranks: NDArray[np.int64]
    ) -> list[Reasons]:
        """The reasons of each recommended item, strongest kind first; never none.

        Args:
            history: catalogue rows that the model read, oldest first.
            rows: (count,) recommended items.
            ranks: (steps + 1, count) their ranks after each step.
        """
        followed = _supporters(self.memory, history, rows)
        alike = _supporters(self.text, history, rows)
        found: list[Reasons] = []
        for follows, similar, path in zip(followed, alike, ranks.T, strict=True):
            reasons: Reasons = []
            if follows:
                reasons.append(("follows", follows))
            if similar:
                reasons.append(("similar", similar))
            if path[-1] < path[0]:
                reasons.append(("reasoned", []))
            found.append(reasons or [("fits", [])])
        return found


def _supporters(
    table: NeighbourTable, history: Sequence[int], rows: NDArray[np.int64]
) -> list[list[int]]:
    """For each of `rows`, the history items that name it as a neighbour, strongest first."""
    newest_first = np.asarray(history, dtype=np.int64)[::-1]
    sources, age = np.unique(newest_first, return_index=True)
    support = table.links(sources, rows) * _DECAY**age
    strongest = np.argsort(-support, axis=1, kind="stable")[:, :_NAMED]
    return [
        [int(sources[place]) for place in places if line[place] > 0]
        for line, places in zip(support, strongest, strict=True)
    ]
