"""A complete ranking of the catalogue, of which only the top is worked out until somebody asks for more."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model_export.contract.scoring import EXCLUDED, Array, best_rows, place_candidates

_LEAST = EXCLUDED / 2
"""Scores below it are those of items that are not allowed."""


@dataclass(frozen=True)
class Ranking:
    """Rankings of B requests: by a mix, whose best items may have been weighed again.

    Attributes:
        mix: (B, N), EXCLUDED where an item is not allowed.
        candidates: (B, C) the best rows of the mix, best first.
        weighed: (B, C) scores of the candidates, which stand above all other items; None leaves the
            mix as it is.
    """

    mix: Array
    candidates: NDArray[np.int64]
    weighed: Array | None = None

    @cached_property
    def scores(self) -> Array:
        """(B, N) scores that order each ranking; EXCLUDED where an item is not allowed."""
        if self.weighed is None:
            return self.mix
        placed = place_candidates(self.mix, self.candidates, self.weighed)
        return np.where(self.mix > _LEAST, placed, np.float32(EXCLUDED))

    @cached_property
    def _top(self) -> Array:
        """(B, C) what `scores` says of the candidates."""
        mix = np.take_along_axis(self.mix, self.candidates, 1)
        if self.weighed is None:
            return mix
        return np.where(mix > _LEAST, self.weighed, np.float32(EXCLUDED))

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(-self._top, axis=1, kind="stable")

    def best(self, request: int, count: int) -> tuple[NDArray[np.int64], Array]:
        """The best `count` rows of one request, best first, and their scores.

        Fewer where fewer are allowed.
        """
        if count <= self.candidates.shape[1]:
            order = self._order[request, :count]
            rows, scores = self.candidates[request, order], self._top[request, order]
        else:
            rows = best_rows(self.scores[request], count)
            scores = self.scores[request, rows]
        allowed = scores > _LEAST
        return rows[allowed], scores[allowed]

    def ranks(self, request: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ranks of some rows in one request's ranking, from 1."""
        found = self.candidates[request] == rows[:, None]
        if found.any(1).all():
            scores = self._top[request]
            own = scores[found.argmax(1)]
        else:
            scores = self.scores[request]
            own = scores[rows]
        ranks: NDArray[np.int64] = (scores > own[:, None]).sum(1) + 1
        return ranks
