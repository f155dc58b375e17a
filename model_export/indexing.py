"""The index that a large catalogue is served through; see contract/inverted_file.py."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model_export.contract.config import InferenceConfig
from model_export.contract.inverted_file import InvertedFile
from model_export.contract.quantize import nearest
from model_export.contract.reasoning import LoopTables
from training.items.cells import fit_centres

CELLS = 4
"""Cells for each square root of an item: 4,000 for a million, of 250 items each."""
SAMPLE = 64
"""Items for each cell that the cells are learnt from."""


def indexed(tables: LoopTables, inference: InferenceConfig, seed: int) -> LoopTables:
    """The tables, with an index where they hold more than `exact_items`."""
    if len(tables.item_vectors) <= inference.exact_items:
        return tables
    return replace(tables, index=build_index(tables.item_vectors, inference.read_items, seed))


def build_index(vectors: NDArray[np.float32], reach: int, seed: int) -> InvertedFile:
    """An index over item vectors (N, d), the same one for the same seed; see `InvertedFile`."""
    cells = math.ceil(CELLS * math.sqrt(len(vectors)))
    cells = min(cells, len(vectors))
    chosen = np.random.default_rng(seed).permutation(len(vectors))[: SAMPLE * cells]
    cell = nearest(vectors, fit_centres(vectors[np.sort(chosen)], cells, seed))
    rows = np.argsort(cell, kind="stable")
    sizes = np.bincount(cell, minlength=cells)
    ordered = vectors[rows]
    totals = np.zeros((cells, vectors.shape[1]), np.float32)
    np.add.at(totals, cell[rows], ordered)
    centres = totals / np.maximum(sizes, 1).astype(np.float32)[:, None]
    return InvertedFile(centres, np.append(0, sizes.cumsum()), rows, ordered, reach)
