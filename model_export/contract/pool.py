"""The items that a request looks at, and the mix of what is known of them.

Of a small catalogue that is every item. Of a large one it is a shortlist: the best items of the cells
around the state, all that the evidence leads to, what is most in demand, and whatever came after the index
was made. The fewer items a filter allows, the more cells are read; where that would be no less than the
items that it allows, or they lie elsewhere, all of these are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model_export.contract.evidence import joined
from model_export.contract.inverted_file import InvertedFile
from model_export.contract.scoring import EXCLUDED, Array, Gains, Scorer, best_rows, relative

LEAST = EXCLUDED / 2
"""Scores below it are those of items that are not allowed."""
KEPT = 10
"""Items around a state that are looked at, for each that must be allowed."""
_BLOCK = 4096
"""Items whose logits are worked out together: their vectors and logits fit the cache."""

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Pool:
    """The W items of N that one request looks at, with enough that are allowed, or all of these.

    The others stand below them, by demand.

    Attributes:
        rows: (W,) distinct; every row in order where the whole catalogue is looked at.
        mix: (W,) EXCLUDED where an item is not allowed.
        demanded: (N,) orders the items that are not looked at; see Scorer.
        allowed: (N,) which items may be recommended.
    """

    rows: Rows
    mix: Array
    demanded: Array
    allowed: Mask

    @property
    def whole(self) -> bool:
        """Whether nothing was left out."""
        return len(self.rows) == len(self.allowed)

    def places(self, rows: Rows) -> Rows:
        """Where some rows stand in the pool, -1 where they do not."""
        if self.whole:
            return rows
        same = self.rows == rows[:, None]
        return np.where(same.any(1), same.argmax(1), -1)

    def spread(self, scores: Array) -> Array:
        """Scores of the pool (W,) as scores of the catalogue (N,)."""
        if self.whole:
            return scores
        everywhere = self._below(scores)
        everywhere[~self.allowed] = EXCLUDED
        everywhere[self.rows] = scores
        return everywhere

    def raised(self, scores: Array, rows: Rows, gains: Array) -> Pool:
        """The pool with other scores (W,) as its mix, and higher ones for some allowed rows (R,)."""
        places = self.places(rows)
        mix, new = scores.copy(), rows[places < 0]
        if len(new):
            places[places < 0] = np.arange(len(mix), len(mix) + len(new))
            mix = np.append(mix, self._below(scores)[new])
        mix[places] += gains
        joint = np.append(self.rows, new)
        order = np.argsort(joint)  # a pool of all items has them in order
        return replace(self, rows=joint[order], mix=mix[order])

    def _below(self, scores: Array) -> Array:
        """(N,) scores of items that were not looked at: by demand, below all of the pool's (W,)."""
        lowest = scores.min(where=scores > LEAST, initial=0)
        below: Array = relative(self.demanded) + (lowest - 1)
        return below


@dataclass(frozen=True)
class Pooling:
    """Makes the pools of requests.

    Attributes:
        vectors: (N, d) unit item vectors.
        index: of the first of them; None compares a state with all.
        scorer: evidence and the weights of the mix.
        enough: allowed items that a shortlist must hold.
    """

    vectors: Array
    index: InvertedFile | None
    scorer: Scorer
    enough: int

    def pools(
        self, states: Array, reached: Iterable[Sequence[Gains]], allowed: Iterable[Mask]
    ) -> list[tuple[Pool, Array]]:
        """A pool for each of B requests, and the logits (W,) of the state for what is in it.

        Args:
            states: (B, d).
            reached: from `Scorer.reached`.
            allowed: which of the N items each request may be answered with.
        """
        if self.index is None:
            return [*self._whole(states, reached, allowed)]
        return [
            self._shortlist(self.index, *request)
            for request in zip(states, reached, allowed, strict=True)
        ]

    def _whole(
        self, states: Array, reached: Iterable[Sequence[Gains]], allowed: Iterable[Mask]
    ) -> Iterator[tuple[Pool, Array]]:
        rows = np.arange(len(self.vectors))
        everything = _logits(self.vectors, states)
        for logits, gains, mask in zip(everything, reached, allowed, strict=True):
            yield self._pool(rows, logits, gains, mask)

    def _shortlist(
        self, index: InvertedFile, state: Array, reached: Sequence[Gains], allowed: Mask
    ) -> tuple[Pool, Array]:
        newer = np.arange(len(index), len(self.vectors))
        also = [newer, self.scorer.in_demand, *(rows for rows, _ in reached)]
        remaining = int(np.count_nonzero(allowed))
        # As many items as hold about `index.reach` allowed ones.
        reach = max(index.reach, self.enough) * len(allowed) // max(remaining, 1)
        in_part = reach < remaining
        rows, logits = self._nearest(index, state, reach if in_part else 1, allowed)
        if in_part and np.count_nonzero(allowed[rows]) >= self.enough:
            return self._joined(rows, logits, also, state, reached, allowed)
        wanted = allowed.copy()
        # Where fewer are allowed, these fill up, as in a whole ranking.
        wanted[: self.enough] = True
        every = np.flatnonzero(wanted)
        everything = self.vectors[every] @ state
        return self._joined(every, everything, [rows, *also], state, reached, allowed)

    def _nearest(
        self, index: InvertedFile, state: Array, reach: int, allowed: Mask
    ) -> tuple[Rows, Array]:
        """The best allowed items around a state with their logits, and the best of all."""
        rows, logits = index.near(state, reach)
        wanted = allowed[rows]
        wanted[logits.argmax()] = True  # features are relative to it
        kept = best_rows(np.where(wanted, logits, np.float32(EXCLUDED)), KEPT * self.enough)
        kept = kept[wanted[kept]]
        return rows[kept], logits[kept]

    def _joined(
        self,
        rows: Rows,
        logits: Array,
        also: Sequence[Rows],
        state: Array,
        reached: Sequence[Gains],
        allowed: Mask,
    ) -> tuple[Pool, Array]:
        """The pool of `rows` (R,), whose logits are known, and all that is to be looked at besides."""
        joint, places = joined(rows, np.concatenate(also), len(self.vectors))
        if len(joint) == len(self.vectors):
            return next(self._whole(state[None], [reached], [allowed]))
        more = self.vectors[joint[len(rows) :]] @ state
        ends = np.cumsum([len(part) for part in also])
        own = np.split(places, ends[:-1])[-len(reached) :] if reached else []
        gains = [(place, gained) for place, (_, gained) in zip(own, reached, strict=True)]
        return self._pool(joint, np.append(logits, more), gains, allowed)

    def _pool(
        self, rows: Rows, logits: Array, gains: Sequence[Gains], allowed: Mask
    ) -> tuple[Pool, Array]:
        """
        Args:
            gains: as from `Scorer.reached`, but by place in the pool.
        """
        demanded = self.scorer.demanded
        whole = len(rows) == len(demanded)
        plain = demanded.copy() if whole else demanded[rows]
        for places, gained in gains:
            plain[places] += gained
        mix = relative(logits)
        mix *= np.float32(self.scorer.weights["state"])
        mix += plain
        np.copyto(mix, np.float32(EXCLUDED), where=~(allowed if whole else allowed[rows]))
        return Pool(rows, mix, demanded, allowed), logits


def _logits(vectors: Array, states: Array) -> Array:
    """(B, N) products of states (B, d) with item vectors (N, d)."""
    logits = np.empty((len(states), len(vectors)), np.float32)
    for begin in range(0, len(vectors), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        # Items first: BLAS would copy every vector to multiply a few states by all of them.
        logits[:, block] = (vectors[block] @ states.T).T
    return logits
