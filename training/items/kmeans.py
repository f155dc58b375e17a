"""Residual k-means: every level clusters what the levels before left over."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from model_export.contract.quantize import ResidualQuantizer, nearest

PRINCIPAL_COMPONENTS = 48
"""Dimensions that are clustered. In more, most residuals of the fine levels fall into one cluster
around zero (perplexity 9 of 256 codes for 4,000 items at 192); in fewer, kin part ways."""
MINI_BATCH_ITEMS = 100_000
"""From this many items on, clusters are fitted on mini-batches."""


def fit_residual_kmeans(
    vectors: NDArray[np.float32], *, levels: int, codes: int, seed: int
) -> ResidualQuantizer:
    """Residual k-means in the principal components of item vectors (items, dims)."""
    weight, bias = _principal_components(vectors)
    codebooks = fit_codebooks(vectors @ weight + bias, levels=levels, codes=codes, seed=seed)
    return ResidualQuantizer(codebooks, ((weight, bias),))


def fit_codebooks(
    vectors: NDArray[np.float32], *, levels: int, codes: int, seed: int
) -> NDArray[np.float32]:
    """Codebooks (levels, codes, dims) for vectors (items, dims).

    Runs on one thread: threads add up in any order, and codes must not change from run to run.
    """
    residuals = vectors
    codebooks = np.empty((levels, codes, vectors.shape[1]), dtype=np.float32)
    with threadpool_limits(1):
        for level in range(levels):
            codebooks[level] = _centres(residuals, codes, seed + level)
            residuals = residuals - codebooks[level][nearest(residuals, codebooks[level])]
    return codebooks


def _centres(vectors: NDArray[np.float32], codes: int, seed: int) -> NDArray[np.float32]:
    """Cluster centres (codes, dims); they repeat where fewer vectors than codes exist."""
    algorithm = MiniBatchKMeans if len(vectors) >= MINI_BATCH_ITEMS else KMeans
    clusters = min(codes, len(vectors))
    with warnings.catch_warnings():
        # Equal vectors leave clusters empty; the code usage report shows it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = algorithm(clusters, n_init=1, max_iter=50, random_state=seed).fit(vectors)
    centres: NDArray[np.float32] = np.resize(fitted.cluster_centers_, (codes, vectors.shape[1]))
    return centres


def _principal_components(
    vectors: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight (dims, components) and bias (components,) of the projection of centred vectors."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(np.cov(vectors, rowvar=False, bias=True).reshape(len(mean), -1))
    directions = directions[:, ::-1][:, :PRINCIPAL_COMPONENTS]
    return directions.astype(np.float32), (-mean @ directions).astype(np.float32)
