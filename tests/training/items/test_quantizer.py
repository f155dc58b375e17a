from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.items.kmeans import fit_codebooks
from training.items.quantizer import code_usage, codes_per_level, fit_quantizer

METHODS: tuple[Literal["kmeans", "rqvae"], ...] = ("kmeans", "rqvae")


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 10))
    return (centres[np.arange(240) % 12] + 0.1 * rng.normal(size=(240, 10))).astype(np.float32)


@pytest.mark.parametrize(
    ("n_items", "expected"), [(1, 2), (20, 5), (1_000, 62), (3_200, 200), (10**6, 256)]
)
def test_codebooks_shrink_with_the_catalogue(n_items: int, expected: int) -> None:
    assert codes_per_level(n_items, levels=4, largest=256) == expected


@given(st.integers(1, 10**8), st.integers(2, 6), st.integers(2, 512))
def test_there_are_many_more_semantic_ids_than_items(
    n_items: int, levels: int, largest: int
) -> None:
    codes = codes_per_level(n_items, levels=levels, largest=largest)
    assert codes**levels * (1 + 1e-9) >= 2**levels * n_items


@pytest.mark.parametrize("method", METHODS)
def test_every_level_explains_more(vectors: np.ndarray, method: Literal["kmeans", "rqvae"]) -> None:
    quantizer = fit_quantizer(vectors, method=method, levels=3, codes=8, seed=0)
    encoded = quantizer.encode(vectors)
    codes = quantizer.codes(encoded)
    assert codes.shape == (240, 3)
    residual, left = encoded, []
    for level, codebook in enumerate(quantizer.codebooks):
        residual = residual - codebook[codes[:, level]]
        left.append(float((residual**2).sum()))
    spread = float(((encoded - encoded.mean(axis=0)) ** 2).sum())
    assert spread > left[0] > left[1] > left[2]
    assert left[0] < 0.5 * spread


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_codes(
    vectors: np.ndarray, method: Literal["kmeans", "rqvae"]
) -> None:
    first, second = (
        fit_quantizer(vectors, method=method, levels=2, codes=8, seed=1) for _ in range(2)
    )
    np.testing.assert_array_equal(first.codebooks, second.codebooks)
    np.testing.assert_array_equal(
        first.codes(first.encode(vectors)), second.codes(second.encode(vectors))
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_items", [1, 3])
def test_fewer_items_than_codes_and_equal_items_work(
    method: Literal["kmeans", "rqvae"], n_items: int
) -> None:
    same = np.ones((n_items, 4), dtype=np.float32)
    quantizer = fit_quantizer(same, method=method, levels=2, codes=5, seed=0)
    assert quantizer.codebooks.shape[:2] == (2, 5)
    assert np.isfinite(quantizer.codebooks).all()
    assert len(np.unique(quantizer.codes(quantizer.encode(same)), axis=0)) == 1


def test_codebooks_of_a_large_catalogue_come_from_mini_batches(
    vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.items.kmeans.MINI_BATCH_ITEMS", 100)
    codebooks = fit_codebooks(vectors, levels=1, codes=12, seed=0)
    distances = np.linalg.norm(vectors[:, None] - codebooks[0], axis=2).min(axis=1)
    assert np.median(distances) < 1


def test_code_usage_by_hand() -> None:
    first, second = code_usage(np.array([[0, 5], [1, 5], [2, 5], [3, 6]]))
    assert (first.used, second.used) == (4, 2)
    assert math.isclose(first.perplexity, 4)
    assert math.isclose(second.perplexity, math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4)))
