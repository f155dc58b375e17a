"""The evidence of a bundle, to which new items and what events teach are added."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from model_export.contract.bundle import Bundle
from model_export.contract.evidence import NeighbourTable
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

        leads = [(other, cosines[other]) for other in alike[: self._hop].tolist()]
        self._put("text_memory", row, self._two_hops(leads, "memory"))
        # i → other (memory) → the new item (text), where it is among the nearest of the other.
        nearest = [
            (other, cosines[other])
            for other in near.tolist()
            if row in text.row(other)[0][: self._hop]
        ]
        memory_text = self._tables["memory_text"]
        weakest = memory_text.weakest()
        for source, weight in self._two_hops(nearest, "reverse").items():
            if weight > weakest[source]:
                memory_text.insert(source, row, weight)

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
            total: dict[int, float] = defaultdict(float)
            known = weights * (np.sqrt(trained[row] * trained[items]) + self._shrink)
            for item, count in (*zip(items.tolist(), known.tolist(), strict=True), *counts.items()):
                total[item] += count
            rows = np.array(list(total), dtype=np.int64)
            popularity = trained[rows] + self._live.view[rows]
            own = trained[row] + self._live.view[row]
            merged = np.array(list(total.values())) / (np.sqrt(own * popularity) + self._shrink)
            self._tables[name].put(row, rows, merged)
        memory = list(self._walk("memory", row))
        taught = followers["memory"]
        for follower, weight in memory:
            if follower in taught:
                self._tables["reverse"].insert(follower, row, weight)
        for name, second in (("memory_memory", "memory"), ("memory_text", "text")):
            self._put(name, row, self._two_hops(memory, second))

    def frozen(self, name: str) -> NeighbourTable:
        """One table as it is now."""
        return self._tables[name].freeze()

    def _two_hops(self, first: Iterable[tuple[int, float]], second: str) -> dict[int, float]:
        total: dict[int, float] = defaultdict(float)
        for through, weight in first:
            for item, further in self._walk(second, through):
                total[item] += float(weight) * further
        return total

    def _walk(self, name: str, row: int) -> Iterable[tuple[int, float]]:
        items, weights = self._tables[name].row(row)
        return zip(items[: self._hop].tolist(), weights[: self._hop].tolist(), strict=True)

    def _put(self, name: str, row: int, weights: Mapping[int, float]) -> None:
        others = {item: weight for item, weight in weights.items() if item != row}
        rows = np.array(list(others), dtype=np.int64)
        self._tables[name].put(row, rows, np.array(list(others.values())))


def _strongest(weights: Floats, count: int) -> NDArray[np.int64]:
    """Rows of the strongest positive weights, strongest first."""
    best = np.argpartition(-weights, min(count, len(weights) - 1))[:count]
    best = best[np.argsort(-weights[best], kind="stable")]
    return best[weights[best] > 0]
