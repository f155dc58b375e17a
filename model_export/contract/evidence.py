"""Plain evidence beside the network: what followed what, and what reads alike.

Both are sparse tables of each item's strongest neighbours. They cost a few gathers a request,
explain themselves ("bought after …", "similar to …"), and know a new item or event at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

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

    def reached(
        self,
        history: NDArray[np.integer],
        decays: Sequence[float],
        counts: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The items that a history leads to and their scores at each decay.

        A score is the sum of the neighbours' weights, each position weighted `decay ** age`.

        Args:
            history: (positions,) rows, oldest first, without padding.
            decays: weights of a position against the one after it.
            counts: (positions,) how much each position counts; 1 if not given.

        Returns:
            R rows, of which one may stand there several times, and (decays, R) scores.
        """
        neighbours = self.items[history].ravel()
        known = np.flatnonzero(neighbours != PADDING)
        rows = neighbours[known].astype(np.intp)
        weights = self.weights[history]
        ages = _age_weights(tuple(decays), len(history))
        if counts is not None:
            ages = ages * counts
        scores = np.empty((len(ages), len(rows)), np.float32)
        total = _scratch("total", len(self.items), np.float64(0))
        for by_age, found in zip(ages, scores, strict=True):
            try:
                np.add.at(total, rows, (weights * by_age[:, None]).ravel()[known])
                found[:] = total[rows]
            finally:
                total[rows] = 0
        return rows, scores

    def links(
        self, sources: NDArray[np.integer], rows: NDArray[np.integer]
    ) -> Iterator[tuple[int, int, float]]:
        """Which of `rows` (count, distinct) are neighbours of which of `sources`, and how strong.

        Yields:
            Place in `rows`, place in `sources`, weight; nothing where it is 0.
        """
        place = _scratch("place", len(self.items), np.int32(PADDING))
        try:
            place[rows] = np.arange(len(rows))
            places = place.take(self.items[sources].ravel())
        finally:
            place[rows] = PADDING
        hit = np.flatnonzero(places != PADDING)
        source, column = np.divmod(hit, self.items.shape[1])
        weights = self.weights[sources[source], column].tolist()
        links = zip(places[hit].tolist(), source.tolist(), weights, strict=True)
        return (link for link in links if link[2])

    def score(
        self,
        histories: NDArray[np.integer],
        decay: float,
        counts: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """What `reached` says, for every item and many histories.

        Args:
            histories: (users, positions) rows, right-aligned, padded with PADDING.
            decay: weight of a position against the one after it.
            counts: (users, positions) how much each position counts; 1 if not given.

        Returns:
            (users, items) scores.
        """
        scores = np.zeros((len(histories), len(self.items)), dtype=np.float32)
        for user, line in enumerate(scores):
            known = histories[user] != PADDING
            counted = None if counts is None else counts[user, known]
            rows, (found,) = self.reached(histories[user, known], [decay], counted)
            line[rows] = found
        return scores


def score_candidates(
    tables: Sequence[NeighbourTable],
    histories: NDArray[np.integer],
    decays: Sequence[float],
    candidates: NDArray[np.integer],
    counts: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """What `score` gives for a few items, in several tables at several decays at once, and far cheaper.

    Args:
        tables: of the same items.
        histories: (users, positions) rows, right-aligned, padded with PADDING.
        decays: weights of a position against the one after it.
        candidates: (users, count) distinct rows.
        counts: (users, positions) how much each position counts; 1 if not given.

    Returns:
        (users, count, tables, decays) scores.
    """
    users, count = candidates.shape
    cells = count * len(tables)
    scores = np.empty((users, cells, len(decays)), dtype=np.float32)
    place = _scratch("place", len(tables[0].items), np.int32(PADDING))
    table_of_column = _table_of_column(tuple(table.items.shape[1] for table in tables))
    for user, history in enumerate(histories):
        known = history != PADDING
        rows = history[known]
        neighbours = np.concatenate([table.items[rows] for table in tables], axis=1)
        try:
            place[candidates[user]] = np.arange(count)
            places = place.take(neighbours.ravel())
        finally:
            place[candidates[user]] = PADDING
        hit = np.flatnonzero(places != PADDING)
        position, column = np.divmod(hit, neighbours.shape[1])
        cell = places[hit] * len(tables) + table_of_column[column]
        weight = np.concatenate([table.weights[rows] for table in tables], axis=1).ravel()[hit]
        ages = _age_weights(tuple(decays), len(rows))
        if counts is not None:
            ages = ages * counts[user, known]
        for number, by_age in enumerate(ages[:, position]):
            scores[user, :, number] = np.bincount(cell, weight * by_age, minlength=cells)
    return scores.reshape(users, count, len(tables), len(decays))


def joined(
    rows: NDArray[np.int64], others: NDArray[np.int64], n_items: int
) -> tuple[NDArray[np.int64], NDArray[np.integer]]:
    """Distinct rows, followed by each of the others that is not among them; no order is kept of these.

    Args:
        rows: (R,) of a catalogue of `n_items`.
        others: (S,) of which one may stand there several times.

    Returns:
        All rows (R + new,), and the place of each of `others` among them (S,).
    """
    place = _scratch("place", n_items, np.int32(PADDING))
    try:
        place[rows] = np.arange(len(rows))
        new = others[place[others] == PADDING]
        place[new] = np.arange(len(new))
        new = new[place[new] == np.arange(len(new))]  # of equals the one written last
        place[new] = np.arange(len(rows), len(rows) + len(new))
        return np.append(rows, new), place[others]
    finally:
        place[rows] = PADDING
        place[others] = PADDING


@lru_cache(maxsize=1024)
def _age_weights(decays: tuple[float, ...], positions: int) -> NDArray[np.float32]:
    """(decays, positions) `decay ** age`, oldest first."""
    ages = np.arange(positions - 1, -1, -1)
    weights: NDArray[np.float32] = np.power.outer(np.asarray(decays, dtype=np.float32), ages)
    weights.setflags(write=False)
    return weights


@lru_cache
def _table_of_column(widths: tuple[int, ...]) -> NDArray[np.int64]:
    """Which of the tables that stand side by side each column is of."""
    return np.repeat(np.arange(len(widths)), widths)


_kept = threading.local()


def _scratch(name: str, n_items: int, blank: np.generic) -> NDArray[Any]:
    """A table of this thread with `blank` at each row and at PADDING, to be left as it was found.

    So that nothing of the catalogue's size is written for a request.
    """
    table: NDArray[Any] | None = getattr(_kept, name, None)
    if table is None or len(table) <= n_items:
        table = np.full(n_items + 1, blank)
        setattr(_kept, name, table)
    return table
