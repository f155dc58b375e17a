"""The evidence of a bundle, to which new items and what events teach are added."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from model_export.contract.bundle import Bundle
from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING
from model_export.contract.reasoning import scorer_of
from model_export.contract.scoring import Scorer
from service.live.tables import GrowingRows, TableEditor

Floats = NDArray[np.float32]


class LiveEvidence:
    """Neighbour tables that are added to.

    Args:
        bundle: whose evidence is added to.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._scorer = scorer_of(bundle)
        self._tables = {name: TableEditor(table) for name, table in self._scorer.tables.items()}
        self._hop = bundle.manifest.evidence.hop
        self._shrink = bundle.manifest.evidence.shrink
        trained = np.asarray(self._scorer.popularity, dtype=np.float64)
        self._trained = GrowingRows(trained)
        self._live = GrowingRows(np.zeros(len(trained)))

    @property
    def popularity(self) -> NDArray[np.int64]:
        """(N,) interactions in training and since."""
        total: NDArray[np.float64] = np.rint(self._trained.view + self._live.view)
        return total.astype(np.int64)

    def freeze(self) -> Scorer:
        """The evidence as it is now."""
        tables = {name: table.freeze() for name, table in self._tables.items()}
        recent = self.popularity - self._trained.view.astype(np.int64)
        recent[: len(self._scorer.recent)] += self._scorer.recent
        return Scorer(tables, self.popularity, recent, self._scorer.weights)

    def add(self, row: int, cosines: Floats) -> None:
        """Give a new item, the next row, its text neighbours, and make it theirs.

        Args:
            row: the new item.
            cosines: (row,) how much it reads like each item before it.
        """
        for table in self._tables.values():
            table.grow()
        self._trained.append(0.0)
        self._live.append(0.0)

        text = self._tables["text"]
        alike = _strongest(cosines, text.width)
        text.put(row, alike, cosines[alike])
        near = _strongest(np.where(cosines > text.weakest()[:row], cosines, 0), text.width)
        for other in near.tolist():
            text.insert(other, row, float(cosines[other]))

        leads = alike[: self._hop]
        self._put("text_memory", row, *self._two_hops(leads, cosines[leads], "memory"))
        # i → other (memory) → the new item (text), where it is among the nearest of the other.
        nearest = near[[row in text.row(other)[0][: self._hop] for other in near.tolist()]]
        memory_text = self._tables["memory_text"]
        sources, weights = self._two_hops(nearest, cosines[nearest], "reverse")
        finds_place = weights > memory_text.weakest()[sources]
        for source, weight in zip(sources[finds_place], weights[finds_place], strict=True):
            memory_text.insert(int(source), row, float(weight))

    def count(self, row: int, events: float) -> None:
        """Say how many events an item had since training."""
        self._live.view[row] = events

    def follow(self, row: int, followers: Mapping[str, Mapping[int, float]]) -> None:
        """Say what followed an item since training, in place of what was said before.

        The counts of both times make the weight of a follower as training would have made it:
        count / (√(n_i · n_j) + shrink).

        Args:
            row: the item.
            followers: counts by row, for "memory" and "wide".
        """
        for name, counts in followers.items():
            items, weights = self._tables[name].original(row)
            trained = self._trained.view
            known = weights * (np.sqrt(trained[row] * trained[items]) + self._shrink)
            learnt = np.fromiter(counts.keys(), np.int64), np.fromiter(counts.values(), np.float64)
            rows, total = _sums(*map(np.concatenate, zip((items, known), learnt, strict=True)))
            popularity = trained[rows] + self._live.view[rows]
            own = trained[row] + self._live.view[row]
            self._tables[name].put(row, rows, total / (np.sqrt(own * popularity) + self._shrink))
        items, weights = self._tables["memory"].row(row)
        items, weights = items[: self._hop], weights[: self._hop]
        for follower, weight in zip(items.tolist(), weights.tolist(), strict=True):
            if follower in followers["memory"]:
                self._tables["reverse"].insert(follower, row, weight)
        for name, second in (("memory_memory", "memory"), ("memory_text", "text")):
            self._put(name, row, *self._two_hops(items, weights, second))

    def frozen(self, name: str) -> NeighbourTable:
        """One table as it is now."""
        return self._tables[name].freeze()

    def _two_hops(
        self, through: NDArray[np.int64], weights: Floats, second: str
    ) -> tuple[NDArray[np.int64], Floats]:
        items, further = self._tables[second].rows(through)
        items, further = items[:, : self._hop], further[:, : self._hop] * weights[:, None]
        known = items != PADDING
        return _sums(items[known], further[known])

    def _put(self, name: str, row: int, items: NDArray[np.int64], weights: Floats) -> None:
        others = items != row
        self._tables[name].put(row, items[others], weights[others])


def _sums(
    rows: NDArray[np.integer], weights: NDArray[np.floating]
) -> tuple[NDArray[np.int64], Floats]:
    """Each row once, with the sum of its weights."""
    distinct, place = np.unique(rows.astype(np.int64), return_inverse=True)
    return distinct, np.bincount(place, weights, len(distinct)).astype(np.float32)


def _strongest(weights: Floats, count: int) -> NDArray[np.int64]:
    """Rows of the strongest positive weights, strongest first."""
    best = np.argpartition(-weights, min(count, len(weights) - 1))[:count]
    best = best[np.argsort(-weights[best], kind="stable")]
    return best[weights[best] > 0]
