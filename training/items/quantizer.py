"""How item vectors become codes: size of the codebooks, choice of the method, use of the codes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model_export.contract.quantize import ResidualQuantizer
from training.items.kmeans import fit_residual_kmeans
from training.items.rqvae import fit_rqvae

ITEMS_PER_CODE = 16
"""Items that each code of the first level should stand for, at least."""


def codes_per_level(n_items: int, *, levels: int, largest: int) -> int:
    """K: as many codes as leave ITEMS_PER_CODE items to each, at most `largest`.

    Never fewer than 2 · n^(1/levels): then 2^levels times as many semantic IDs as items exist, and
    every item, new ones included, finds a free one.
    """
    enough = math.ceil(2 * math.pow(n_items, 1 / levels))
    return max(enough, min(largest, n_items // ITEMS_PER_CODE))


def fit_quantizer(
    vectors: NDArray[np.float32],
    *,
    method: Literal["kmeans", "rqvae"],
    levels: int,
    codes: int,
    seed: int,
) -> ResidualQuantizer:
    """Fit codebooks of `levels` levels with `codes` codes each to item vectors (items, dims)."""
    fit = fit_residual_kmeans if method == "kmeans" else fit_rqvae
    return fit(vectors, levels=levels, codes=codes, seed=seed)


@dataclass(frozen=True)
class CodeUsage:
    """How much of one level's codebook the catalogue uses."""

    used: int
    """Codes with at least one item."""
    perplexity: float
    """exp(entropy): as many codes, all equally used, would carry as much information."""


def code_usage(codes: NDArray[np.integer]) -> list[CodeUsage]:
    """Usage of each level of the semantic IDs `codes` (items, levels)."""
    usage = []
    for column in codes.T:
        share = np.unique_counts(column).counts / len(column)
        usage.append(CodeUsage(len(share), float(np.exp(-(share * np.log(share)).sum()))))
    return usage
