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
    weighed: Array | None

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

    def raised(self, rows: NDArray[np.int64], gains: Array) -> Ranking:
        """The ranking where some items have higher scores; only these are looked at.

        Args:
            rows: (B, W) distinct in each request; -1 for none.
            gains: (B, W) what each gains, not negative.
        """
        candidates, weighed = np.empty_like(self.candidates), np.empty_like(self._top)
        for request, (own, top) in enumerate(zip(self.candidates, self._top, strict=True)):
            wanted = rows[request] >= 0
            found, gained = rows[request, wanted], gains[request, wanted]
            same = own[:, None] == found
            scores = top + (same * gained).sum(1)
            others = ~same.any(0)
            pool = np.append(own, found[others])
            pool_scores = np.append(scores, self._below(request, found[others]) + gained[others])
            best = np.argsort(-pool_scores, kind="stable")[: len(own)]
            candidates[request], weighed[request] = pool[best], pool_scores[best]
        return _Raised(self.mix, candidates, weighed, self, rows, gains)

    def _below(self, request: int, rows: NDArray[np.int64]) -> Array:
        """Scores of rows that are no candidates."""
        mix: Array = self.mix[request, rows]
        if self.weighed is None:
            return mix
        best = self.mix[request, self.candidates[request, :1]]
        placed = mix - best + self.weighed[request].min() - np.float32(1)
        return np.where(mix > _LEAST, placed, np.float32(EXCLUDED))

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


@dataclass(frozen=True)
class _Raised(Ranking):
    """What `Ranking.raised` makes of a ranking."""

    base: Ranking
    rows: NDArray[np.int64]
    gains: Array

    @cached_property
    def scores(self) -> Array:
        scores = self.base.scores.copy()
        for line, rows, gains in zip(scores, self.rows, self.gains, strict=True):
            line[rows[rows >= 0]] += gains[rows >= 0]
        return scores
