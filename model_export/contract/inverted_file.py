"""Which items of a large catalogue a state is compared with: those of the cells around it.

An inverted file: the item vectors are clustered in cells, and only the cells whose items have the best
logits on average are read, each in one piece.
Source: Sivic and Zisserman (2003); Jégou, Douze and Schmid (2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_export.contract.bundle import Bundle, IndexRecord


@dataclass(frozen=True)
class InvertedFile:
    """N items in cells.

    Attributes:
        centres: (cells, d) mean vector of each cell's items; of an empty cell, anything.
        starts: (cells + 1,) where each cell begins in `rows` and `vectors`, and where the last ends.
        rows: (N,) catalogue rows, cell by cell.
        vectors: (N, d) their vectors, so that reading a cell jumps nowhere.
        reach: allowed items of the best cells that a state should be compared with.
    """

    centres: NDArray[np.float32]
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    reach: int

    @classmethod
    def of(cls, bundle: Bundle) -> InvertedFile | None:
        """The index of a bundle; None where its catalogue is small enough to be ranked whole.

        Raises:
            BundleError: a table is missing.
        """
        if not bundle.manifest.index:
            return None
        parts = {part: bundle.table(f"cell_{part}") for part in _TABLES}
        return cls(**parts, reach=bundle.manifest.inference.read_items)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything under the names that a bundle gives it."""
        return {f"cell_{part}": getattr(self, part) for part in _TABLES}

    @property
    def record(self) -> IndexRecord:
        """What the manifest says of it before it is verified."""
        return IndexRecord(cells=len(self.centres))

    def __len__(self) -> int:
        return len(self.rows)

    def near(
        self, state: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """At least `count` items for a state (d,), if there are as many: whole cells, the best first.

        Returns:
            Their rows (W,), distinct, and their logits (W,).
        """
        best = np.argsort(-(self.centres @ state))
        begins, sizes = self.starts[best], self.starts[best + 1] - self.starts[best]
        ends = sizes.cumsum()
        cells = int(np.searchsorted(ends, count)) + 1
        begins, sizes, ends = begins[:cells], sizes[:cells], ends[:cells]
        places = np.arange(ends[-1]) + np.repeat(begins + sizes - ends, sizes)
        return self.rows.take(places), self.vectors.take(places, 0) @ state


_TABLES = ("centres", "starts", "rows", "vectors")
