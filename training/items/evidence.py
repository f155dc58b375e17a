"""Evidence from training histories and item texts: everything but the network's own opinion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from model_export.contract.config import EvidenceConfig
from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING
from model_export.contract.scoring import Scorer
from training.items.cooccurrence import count_transitions
from training.items.neighbours import strongest_neighbours

RECENT = 3
"""Newest interactions of a user that say what is in demand of late."""


@dataclass(frozen=True)
class Evidence:
    """What histories and texts say of N items.

    Attributes:
        popularity: (N,) interactions with each item.
        recent: (N,) how often it is among the RECENT newest of a user: what is in demand of late.
        tables: the eight of scoring.TABLES; see scoring.UNITS for what each means.
    """

    popularity: NDArray[np.int64]
    recent: NDArray[np.int64]
    tables: Mapping[str, NeighbourTable]

    def scorer(self, weights: Mapping[str, float]) -> Scorer:
        """The evidence under some weights of the mix."""
        return Scorer(self.tables, self.popularity, self.recent, weights)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything under the names that a run and a bundle give it."""
        parts = {
            f"{name}_{part}": getattr(table, part)
            for name, table in self.tables.items()
            for part in ("items", "weights")
        }
        return {"popularity": self.popularity, "recent": self.recent, **parts}


def fit_evidence(
    offsets: NDArray[np.int64],
    items: NDArray[np.int64],
    text: NeighbourTable,
    config: EvidenceConfig,
) -> Evidence:
    """All evidence of some histories.

    Args:
        offsets: (users + 1,) user u owns items[offsets[u] : offsets[u + 1]], oldest first.
        items: (interactions,) catalogue rows.
        text: text neighbours, which no history changes.
    """
    n_items = len(text.items)
    popularity = np.bincount(items, minlength=n_items)
    shares = {
        "memory": count_transitions(offsets, items, n_items, config.window),
        "wide": count_transitions(offsets, items, n_items, config.wide_window, config.wide_fading),
        "together": _together(offsets, items, n_items),
    }
    shares = {name: _normalised(c, popularity, config.shrink) for name, c in shares.items()}
    shares["reverse"] = shares["memory"].T.tocsr()
    tables = {
        name: strongest_neighbours(share, config.neighbours) for name, share in shares.items()
    }
    tables["text"] = text
    follows = _hop(tables["memory"], config.hop)
    resembles = _hop(text, config.hop)
    for name, path in {
        "text_memory": resembles @ follows,
        "memory_text": follows @ resembles,
        "memory_memory": follows @ follows,
    }.items():
        tables[name] = strongest_neighbours(path.tocsr(), config.neighbours)
    return Evidence(popularity, _recent(offsets, items, n_items), tables)


def _recent(
    offsets: NDArray[np.integer], items: NDArray[np.integer], n_items: int
) -> NDArray[np.int64]:
    lengths = np.diff(offsets)
    from_end = np.repeat(offsets[1:], lengths) - np.arange(len(items))
    return np.bincount(items[from_end <= RECENT], minlength=n_items)


def _together(offsets: NDArray[np.int64], items: NDArray[np.int64], n_items: int) -> csr_array:
    """Co-occurrence within a history in any order; long histories count less (1 / √length)."""
    lengths = np.diff(offsets)
    users = np.repeat(np.arange(len(lengths)), lengths)
    seen = csr_array((np.ones(len(items)), (users, items)), shape=(len(lengths), n_items))
    damped = diags_array(np.maximum(lengths, 1) ** -0.5) @ seen
    return (damped.T @ seen).tocsr()


def _normalised(counts: csr_array, popularity: NDArray[np.integer], shrink: float) -> csr_array:
    entries = counts.tocoo()
    row, column = entries.coords
    weights = entries.data / (np.sqrt(popularity[row] * popularity[column]) + shrink)
    return csr_array((weights, (row, column)), shape=counts.shape)


def _hop(table: NeighbourTable, width: int) -> csr_array:
    """The strongest `width` neighbours as a matrix, for paths of two hops."""
    neighbours, weights = table.items[:, :width], table.weights[:, :width]
    kept = neighbours != PADDING
    row = np.repeat(np.arange(len(neighbours)), kept.sum(1))
    shape = (len(neighbours), len(neighbours))
    return csr_array((weights[kept], (row, neighbours[kept])), shape=shape)
