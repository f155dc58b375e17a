"""Plain evidence beside the network: what followed what, and what reads alike.

Both are sparse tables of each item's strongest neighbours. They cost a few gathers a request,
explain themselves ("bought after …", "similar to …"), and know a new item or event at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_export.contract.history import PADDING


@dataclass(frozen=True)
class NeighbourTable:
    """The strongest neighbours of every item.

    Attributes:
        items: (items, width) neighbour rows, strongest first, padded with PADDING.
        weights: (items, width) float32 weights, 0 where padded.
    """

    items: NDArray[np.integer]
    weights: NDArray[np.floating]

    def score(
        self,
        histories: NDArray[np.integer],
        decay: float,
        counts: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Sum of the neighbours' weights over a history, each position weighted `decay ** age`.

        Args:
            histories: (users, positions) rows, right-aligned, padded with PADDING.
            decay: weight of a position against the one after it.
            counts: (users, positions) how much each position counts; 1 if not given.

        Returns:
            (users, items) scores.
        """
        users, positions = histories.shape
        n_items = len(self.items)
        scores = np.zeros((users, n_items), dtype=np.float32)
        age_weight = decay ** np.arange(positions - 1, -1, -1, dtype=np.float32)
        for user, (line, history) in enumerate(zip(scores, histories, strict=True)):
            known = history != PADDING
            rows = history[known]
            position_weight = age_weight if counts is None else age_weight * counts[user]
            contribution = self.weights[rows] * position_weight[known, None]
            line += np.bincount(
                np.maximum(self.items[rows], 0).ravel(), contribution.ravel(), minlength=n_items
            )
        return scores

    def score_candidates(
        self,
        histories: NDArray[np.integer],
        decays: Sequence[float],
        candidates: NDArray[np.integer],
        counts: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """What `score` gives for a few items, at several decays at once, and far cheaper.

        Args:
            histories: (users, positions) rows, right-aligned, padded with PADDING.
            decays: weights of a position against the one after it.
            candidates: (users, count) distinct rows.
            counts: (users, positions) how much each position counts; 1 if not given.

        Returns:
            (users, count, decays) scores.
        """
        users, count = candidates.shape
        age = np.arange(histories.shape[1] - 1, -1, -1)
        age_weights = np.power.outer(np.asarray(decays, dtype=np.float32), age)
        scores = np.empty((users, count, len(decays)), dtype=np.float32)
        place = np.full(len(self.items) + 1, PADDING)
        for user, history in enumerate(histories):
            place[candidates[user]] = np.arange(count)
            known = np.flatnonzero(history != PADDING)
            rows = history[known]
            places = place[self.items[rows]]
            position, column = np.nonzero(places != PADDING)
            hit, weight = places[position, column], self.weights[rows[position], column]
            if counts is not None:
                weight = weight * counts[user, known[position]]
            for number, by_age in enumerate(age_weights[:, known[position]]):
                scores[user, :, number] = np.bincount(hit, by_age * weight, minlength=count)
            place[candidates[user]] = PADDING
        return scores
