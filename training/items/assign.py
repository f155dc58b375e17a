"""Collision-free semantic IDs: no two items share one, at the least loss of accuracy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from model_export.contract.quantize import ResidualQuantizer, squared_distances


def share_in_collision(codes: NDArray[np.integer]) -> float:
    """Share of the items whose semantic ID another item has too."""
    _, counts = np.unique(codes, axis=0, return_counts=True)
    return float(counts[counts > 1].sum() / len(codes))


def collision_free_codes(
    encoded: NDArray[np.float32], quantizer: ResidualQuantizer
) -> NDArray[np.int64]:
    """Nearest codes, with the last level reassigned until every item has a semantic ID of its own.

    Among the items under one prefix, wherever two collide, the last codes are assigned anew at the
    least sum of squared distances. Should more items share a prefix than semantic IDs exist under
    it, the ones that lose least move to a sibling prefix first (greedily, coarse levels first).

    Args:
        encoded: (items, dims) vectors from `quantizer.encode`.

    Returns:
        (items, levels) codes without duplicates.

    Raises:
        ValueError: more items than semantic IDs.
    """
    levels, n_codes, _ = quantizer.codebooks.shape
    if len(encoded) > n_codes**levels:
        raise ValueError(f"{len(encoded)} items need more than {levels} levels of {n_codes} codes")
    codes = quantizer.codes(encoded)
    for level in range(levels):
        room = n_codes ** (levels - 1 - level)
        for rows in list(_crowded_siblings(codes, level, room)):
            _relieve(encoded, quantizer, codes, rows, level, room)
    return codes


def _crowded_siblings(
    codes: NDArray[np.int64], level: int, room: int
) -> Iterator[NDArray[np.int64]]:
    """Rows under each prefix of length `level` that has a child with more than `room` items."""
    _, child, size = np.unique(
        codes[:, : level + 1], axis=0, return_inverse=True, return_counts=True
    )
    _, parent = np.unique(codes[:, :level], axis=0, return_inverse=True)
    crowded = np.unique(parent[size[child] > room])
    order = np.argsort(parent, kind="stable")
    starts = np.searchsorted(parent[order], crowded, side="left")
    ends = np.searchsorted(parent[order], crowded, side="right")
    for start, end in zip(starts, ends, strict=True):
        yield order[start:end]


def _relieve(
    encoded: NDArray[np.float32],
    quantizer: ResidualQuantizer,
    codes: NDArray[np.int64],
    rows: NDArray[np.int64],
    level: int,
    room: int,
) -> None:
    """Give the items `rows`, all under one prefix of length `level`, at most `room` to a code."""
    residuals = encoded[rows]
    for above in range(level):
        residuals = residuals - quantizer.codebooks[above][codes[rows, above]]
    costs = squared_distances(residuals, quantizer.codebooks[level])
    if room == 1:
        items, codes_of_items = linear_sum_assignment(costs)
        codes[rows[items], level] = codes_of_items
        return
    before = codes[rows, level]
    after = _spread(costs, before, room)
    moved = after != before
    residuals = residuals[moved] - quantizer.codebooks[level][after[moved]]
    codes[rows[moved], level] = after[moved]
    finer = ResidualQuantizer(quantizer.codebooks[level + 1 :])
    codes[rows[moved], level + 1 :] = finer.codes(residuals)


def _spread(costs: NDArray[np.floating], codes: NDArray[np.int64], room: int) -> NDArray[np.int64]:
    """Move items, the cheapest moves first, until no code has more than `room` of them."""
    size = np.bincount(codes, minlength=costs.shape[1])
    movable = np.flatnonzero(size[codes] > room)
    targets = np.flatnonzero(size < room)
    extra = costs[movable][:, targets] - costs[movable, codes[movable]][:, None]
    spread = codes.copy()
    for move in np.argsort(extra, axis=None, kind="stable"):
        item, target = movable[move // len(targets)], targets[move % len(targets)]
        home = codes[item]
        if spread[item] == home and size[home] > room and size[target] < room:
            size[home] -= 1
            size[target] += 1
            spread[item] = target
    return spread
