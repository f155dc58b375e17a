"""How a history becomes model input: one function for training batches and for the service."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = Sequence[int] | NDArray[np.integer]
"""One history as catalogue rows, oldest first."""
PADDING = -1
"""Catalogue row that stands for 'no item'."""


def encode_history(
    histories: Sequence[Rows], max_history: int, width: int | None = None
) -> NDArray[np.int64]:
    """Catalogue rows, oldest first, as one right-aligned table.

    Args:
        histories: one sequence of catalogue rows a user.
        max_history: only the most recent this many items are kept.
        width: columns of the result; the longest kept history (at least 1) if not given.

    Returns:
        (users, width) rows, padded on the left with PADDING.
    """
    kept = [history[-max_history:] for history in histories]
    width = width or max([1, *(len(history) for history in kept)])
    table = np.full((len(kept), width), PADDING, dtype=np.int64)
    for line, history in zip(table, kept, strict=True):
        if len(history):
            line[-len(history) :] = history
    return table


def encode_counts(
    counts: Sequence[Sequence[float]] | None, width: int
) -> NDArray[np.float32] | None:
    """How much each position counts, as a table aligned with that of `encode_history`.

    Args:
        counts: one sequence a user, oldest first; an empty one counts every position as 1.
        width: columns of the result, those of the encoded histories.

    Returns:
        (users, width), or None where everything counts as 1.
    """
    if counts is None or not any(map(len, counts)):
        return None
    table = np.ones((len(counts), width), dtype=np.float32)
    for line, given in zip(table, counts, strict=True):
        newest = given[-width:]
        if len(newest):
            line[-len(newest) :] = newest
    return table
