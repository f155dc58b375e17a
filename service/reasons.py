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
        known = set(history)
        rose = (ranks[-1] < ranks[0]).tolist()
        for row, follows, similar, lifted in zip(rows.tolist(), followed, alike, rose, strict=True):
            reasons: Reasons = [("repeat", [])] if row in known else []
            if follows:
                reasons.append(("follows", follows))
            if similar:
                reasons.append(("similar", similar))
            if lifted:
                reasons.append(("reasoned", []))
            found.append(reasons or [("fits", [])])
        return found


def _supporters(
    table: NeighbourTable, history: Sequence[int], rows: NDArray[np.int64]
) -> list[list[int]]:
    """For each of `rows`, the history items that name it as a neighbour, strongest first."""
    ages: dict[int, int] = {}
    for age, source in enumerate(reversed(history)):
        ages.setdefault(source, age)
    sources = [*ages]
    support: list[list[tuple[float, int]]] = [[] for _ in range(len(rows))]
    for place, number, weight in table.links(np.array(sources, dtype=np.int64), rows):
        source = sources[number]
        support[place].append((-weight * _DECAY ** ages[source], source))
    return [[source for _, source in sorted(found)[:_NAMED]] for found in support]
