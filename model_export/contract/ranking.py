"""A complete ranking of the catalogue, of which only the top is worked out until somebody asks for more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model_export.contract.pool import LEAST, Pool
from model_export.contract.scoring import EXCLUDED, Array, best_rows, place_candidates


@dataclass(frozen=True)
class Ranking:
    """Rankings of B requests: by the mix of what was looked at, whose best may have been weighed again.

    Attributes:
        pools: what each request looked at; other items stand below all of it, see `Pool.spread`.
        places: (B, C) where the best of the mix stand in the pools, best first: the candidates.
        weighed: (B, C) scores of the candidates, which stand above all other items; None leaves the
            mix as it is.
    """

    pools: Sequence[Pool]
    places: NDArray[np.int64]
    weighed: Array | None = None

    @classmethod
    def of(cls, pools: Sequence[Pool], count: int) -> Ranking:
        """The ranking by the mix, with the best `count` at hand, or as many as each pool has."""
        return cls(pools, np.stack([best_rows(pool.mix, count) for pool in pools]))

    @cached_property
    def candidates(self) -> NDArray[np.int64]:
        """(B, C) rows of the candidates."""
        chosen = zip(self.pools, self.places, strict=True)
        return np.stack([pool.rows[places] for pool, places in chosen])

    @cached_property
    def scores(self) -> Array:
        """(B, N) scores that order each ranking; EXCLUDED where an item is not allowed."""
        return np.stack([self._everywhere(request) for request in range(len(self.pools))])

    @cached_property
    def _top(self) -> Array:
        """(B, C) what `scores` says of the candidates."""
        chosen = zip(self.pools, self.places, strict=True)
        mix = np.stack([pool.mix[places] for pool, places in chosen])
        if self.weighed is None:
            return mix
        return np.where(mix > LEAST, self.weighed, np.float32(EXCLUDED))

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(-self._top, axis=1, kind="stable")

    def _looked_at(self, request: int) -> Array:
        """(W,) what `scores` says of all that one request looked at."""
        mix = self.pools[request].mix
        if self.weighed is None:
            return mix
        placed = place_candidates(mix, self.places[request], self.weighed[request])
        return np.where(mix > LEAST, placed, np.float32(EXCLUDED))

    def _everywhere(self, request: int) -> Array:
        """(N,) what `scores` says of one request."""
        return self.pools[request].spread(self._looked_at(request))

    def raised(self, rows: NDArray[np.int64], gains: Array) -> Ranking:
        """The ranking where some items have higher scores.

        Args:
            rows: (B, W) distinct in each request; -1 for none.
            gains: (B, W) what each gains, not negative.
        """
        raised = [
            pool.raised(self._looked_at(request), own[own >= 0], gained[own >= 0])
            for request, (pool, own, gained) in enumerate(zip(self.pools, rows, gains, strict=True))
        ]
        return Ranking.of(raised, self.places.shape[1])

    def best(self, request: int, count: int) -> tuple[NDArray[np.int64], Array]:
        """The best `count` rows of one request, best first, and their scores.

        Fewer where fewer are allowed.
        """
        if count <= self.places.shape[1]:
            order = self._order[request, :count]
            rows, scores = self.candidates[request, order], self._top[request, order]
        else:
            rows, scores = self.pools[request].rows, self._looked_at(request)
            if np.count_nonzero(scores > LEAST) < count:
                rows, scores = (
                    np.arange(len(self.pools[request].allowed)),
                    self._everywhere(request),
                )
            best = best_rows(scores, count)
            rows, scores = rows[best], scores[best]
        allowed = scores > LEAST
        return rows[allowed], scores[allowed]

    def ranks(self, request: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ranks of some rows in one request's ranking, from 1."""
        found = self.candidates[request] == rows[:, None]
        if found.any(1).all():
            scores, places = self._top[request], found.argmax(1)
        else:
            scores, places = self._looked_at(request), self.pools[request].places(rows)
            if (places < 0).any():
                scores, places = self._everywhere(request), rows
        ranks: NDArray[np.int64] = (scores > scores[places][:, None]).sum(1) + 1
        return ranks
