"""How much each type of event counts in a history.

A weight scales the evidence of a history position: with `purchase=3`, what follows a purchased item
counts as if three views of it stood there. 0 keeps events of a type out of histories; they are stored
and reported beside them. The network itself reads every position alike, as it was trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

LARGEST = 100.0
"""Above this a weight is most likely a mistake."""


@dataclass(frozen=True)
class EventWeights:
    """Weights by event type; a type that is not named, and an event without one, weighs 1."""

    by_type: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> EventWeights:
        """Weights from text such as `purchase=3,view=1,impression=0`.

        Raises:
            ValueError: names the part that is wrong.
        """
        weights: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, number = (piece.strip() for piece in part.rpartition("="))
            try:
                weight = float(number)
            except ValueError:
                weight = math.nan
            if not name or not 0 <= weight <= LARGEST:
                raise ValueError(
                    f"{part!r} is not TYPE=WEIGHT with a weight from 0 to {LARGEST:g}; "
                    "write for example purchase=3,view=1"
                )
            if name in weights:
                raise ValueError(f"{name!r} is named twice")
            weights[name] = weight
        return cls(weights)

    def of(self, event_type: str | None) -> float:
        """The weight of one event."""
        return 1.0 if event_type is None else self.by_type.get(event_type, 1.0)
