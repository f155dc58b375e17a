"""From states and evidence to a ranking: the numpy that training and service share.

Every piece of evidence is a non-negative score per item, read as log(1 + score / unit), so that "some
evidence" counts most and more of it counts less and less. A weighted sum of the state's logits and
the evidence ranks the catalogue (the mix); deliberation looks at all evidence of the best candidates
(`features`) and its scores put them on top in a new order (`place_candidates`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model_export.contract.evidence import NeighbourTable, score_candidates
from model_export.contract.history import PADDING

UNITS = {
    "memory": 0.01,
    "wide": 0.01,
    "reverse": 0.01,
    "together": 0.01,
    "text": 0.1,
    "text_memory": 0.01,
    "memory_text": 0.01,
    "memory_memory": 0.001,
    "repeat": 0.01,
    "beam": 0.01,
}
"""Unit of each kind of evidence; the first eight are neighbour tables.

memory         what followed within 5 steps
wide           what followed within 20 steps
reverse        what it followed
together       what shares histories with it, in any order
text           what reads alike
text_memory    what followed items that read alike
memory_text    what reads like its followers
memory_memory  what followed its followers
repeat         the item itself, where it stands in the history
beam           probability of the generated semantic ID
"""
TABLES = tuple(UNITS)[:8]
EVIDENCE = (*TABLES, "repeat")
DECAYS = (1.0, 0.8, 0.4, 0.0)
"""Weight of a history position against the one after it; 0 looks at the newest item only."""
FEATURES = (
    *(f"{evidence}@{decay}" for evidence in EVIDENCE for decay in DECAYS),
    "state",
    "popularity",
    "recent",
    "mix",
    "rank",
    "length",
)
DEFAULT_WEIGHTS = {"state": 1.0, "wide@0.8": 2.0, "text@0.8": 1.0}
"""Weights of the mix before they are tuned on held-out users."""
FLOOR = -30.0
"""Lowest `mix` and `state` feature, relative to the best candidate."""
IN_DEMAND = 300
"""Items most in demand that a shortlist always holds."""
_OTHERS = 6
"""Features that no history position leads to."""
_GROUP = 32
"""Items of one group when the best rows are looked for."""
EXCLUDED = -1e9
"""Score of an item that must not be recommended."""

Array = NDArray[np.float32]
Gains = tuple[NDArray[np.intp], Array]
"""Rows or places, and what each gains in the mix."""


@dataclass(frozen=True)
class Scorer:
    """Scores a batch of histories.

    Attributes:
        tables: the neighbour tables by name, see TABLES.
        popularity: (N,) training interactions of each item.
        recent: (N,) those among the newest of their user, see evidence.recent_interactions.
        weights: weight of "state", "popularity", "recent" and any "evidence@decay" in the mix.
    """

    tables: Mapping[str, NeighbourTable]
    popularity: NDArray[np.integer]
    recent: NDArray[np.integer]
    weights: Mapping[str, float]

    @cached_property
    def leading(self) -> Mapping[str, NeighbourTable]:
        """What each kind of EVIDENCE leads to: the tables, and of "repeat" every item to itself."""
        rows = np.arange(len(self.popularity), dtype=np.int32)[:, None]
        one = np.broadcast_to(np.float32(1), rows.shape)
        return {**self.tables, "repeat": NeighbourTable(rows, one)}

    @cached_property
    def demand(self) -> Mapping[str, Array]:
        """(N,) log(1 + interactions) of all time, "popularity", and of late, "recent"."""
        counts = {"popularity": self.popularity, "recent": self.recent}
        return {name: np.log1p(count).astype(np.float32) for name, count in counts.items()}

    @cached_property
    def demanded(self) -> Array:
        """(N,) the part of the mix that is the same for every history."""
        total = np.zeros(len(self.popularity), dtype=np.float32)
        for name, demand in self.demand.items():
            total += np.float32(self.weights.get(name, 0.0)) * demand
        return total

    @cached_property
    def in_demand(self) -> NDArray[np.int64]:
        """The rows for which that part is largest, IN_DEMAND at most."""
        return best_rows(self.demanded, IN_DEMAND)

    @cached_property
    def _weighed(self) -> Mapping[str, tuple[tuple[float, ...], Array]]:
        """Decays and weights of all evidence that takes part in the mix."""
        weighed: dict[str, dict[float, float]] = {}
        for name, weight in self.weights.items():
            if "@" in name and weight:
                table, decay = name.split("@")
                weighed.setdefault(table, {})[float(decay)] = weight
        return {
            table: (tuple(by_decay), np.array([*by_decay.values()], np.float32))
            for table, by_decay in weighed.items()
        }

    def evidence(
        self, histories: NDArray[np.integer], name: str, counts: Array | None = None
    ) -> Array:
        """Evidence "memory@0.8" (say) of every item (B, N) for right-aligned histories (B, H)."""
        table, decay = name.split("@")
        return as_evidence(self.leading[table].score(histories, float(decay), counts), table)

    def reached(
        self,
        histories: NDArray[np.integer],
        counts: Array | None = None,
        repeats: Sequence[bool] | None = None,
    ) -> list[list[Gains]]:
        """What each table of the mix adds for the items that a history leads to; for others, nothing.

        Args:
            histories: (B, H) rows, right-aligned.
            counts: (B, H) how much each position counts; 1 if not given.
            repeats: (B,) whether the items of a history are asked for themselves; all if not given.

        Returns:
            For each history and table R rows, of which one may stand there several times, and their
            gains (R,).
        """
        found: list[list[Gains]] = [[] for _ in histories]
        for user, gains in enumerate(found):
            known = histories[user] != PADDING
            counted = None if counts is None else counts[user, known]
            for table, (decays, weights) in self._weighed.items():
                if table == "repeat" and repeats is not None and not repeats[user]:
                    continue
                rows, scores = self.leading[table].reached(histories[user, known], decays, counted)
                gains.append((rows, weights @ as_evidence(scores, table)))
        return found

    def plain_mix(self, histories: NDArray[np.integer], counts: Array | None = None) -> Array:
        """All of the mix but the state's part (B, N), for arguments as those of `reached`."""
        total = np.repeat(self.demanded[None], len(histories), axis=0)
        for line, found in zip(total, self.reached(histories, counts), strict=True):
            for rows, gains in found:
                line[rows] += gains
        return total

    def candidates(self, mix: Array, count: int) -> NDArray[np.int64]:
        """The best `count` rows of each mix (B, count), best first."""
        best = [best_rows(line, count) for line in mix]
        return np.array(best, dtype=np.int64).reshape(len(mix), min(count, mix.shape[1]))

    def features(
        self,
        candidates: NDArray[np.int64],
        logits: Array,
        mix: Array,
        histories: NDArray[np.integer],
        counts: Array | None = None,
    ) -> Array:
        """Everything that is known of each candidate (B, C, FEATURES).

        Args:
            candidates: (B, C) rows, best of the mix first.
            logits: (B, C) of the state, from `relative_to_best`.
            mix: (B, C) likewise.
            histories: (B, H).
            counts: (B, H) how much each position counts; 1 if not given.
        """
        count = candidates.shape[1]
        features = np.empty((*candidates.shape, len(FEATURES)), dtype=np.float32)
        tables = [self.leading[name] for name in EVIDENCE]
        scores = score_candidates(tables, histories, DECAYS, candidates, counts)
        units = np.array([UNITS[name] for name in EVIDENCE], dtype=np.float32)
        features[..., :-_OTHERS] = np.log1p(scores / units[:, None]).reshape(
            *candidates.shape, len(EVIDENCE) * len(DECAYS)
        )
        known = (histories != PADDING).sum(1)
        features[..., -6] = logits
        features[..., -5] = self.demand["popularity"][candidates]
        features[..., -4] = self.demand["recent"][candidates]
        features[..., -3] = mix
        features[..., -2] = np.log1p(np.arange(count))
        features[..., -1] = np.log(np.maximum(known, 1))[:, None]
        return features


def as_evidence(scores: Array, name: str) -> Array:
    """log(1 + score / unit) of non-negative scores."""
    evidence: Array = np.log1p(scores / np.float32(UNITS[name]))
    return evidence


def relative(scores: Array) -> Array:
    """Scores (…, N) relative to the best of them."""
    below: Array = scores - scores.max(-1, keepdims=True)
    return below


def relative_to_best(scores: Array, candidates: NDArray[np.int64]) -> Array:
    """Scores (…, N) of candidates (…, C) relative to the best of all, at least FLOOR."""
    below = np.take_along_axis(scores, candidates, -1) - scores.max(-1, keepdims=True)
    floored: Array = np.maximum(below, np.float32(FLOOR))
    return floored


def best_rows(scores: Array, count: int) -> NDArray[np.int64]:
    """The rows of the `count` best of scores (N,), best first; of equals the first.

    The catalogue is cut in a few hundred groups; as many of them as items are wanted have a best
    item above some score, so every item that is wanted is too. Only those are sorted.
    """
    groups = max(len(scores) // _GROUP, 4 * count)
    whole = len(scores) - len(scores) % groups if count < len(scores) // 8 else 0
    if whole:
        best = scores[:whole].reshape(-1, groups).max(0)
        likely = np.flatnonzero(scores >= np.partition(best, groups - count)[groups - count])
    else:
        likely = np.arange(len(scores))
    return likely[np.argsort(-scores[likely], kind="stable")[:count]]


def place_candidates(mix: Array, candidates: NDArray[np.int64], scores: Array) -> Array:
    """A ranking of all items (…, N): candidates (…, C) by their new scores, the rest below by mix."""
    placed: Array = relative(mix) + scores.min(-1, keepdims=True) - 1
    np.put_along_axis(placed, candidates, scores, -1)
    return placed
