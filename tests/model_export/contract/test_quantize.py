from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model_export.contract.quantize import ResidualQuantizer, squared_distances

numbers = st.integers(-8, 8)
quantizers = arrays(np.float32, (2, 3, 2), elements=numbers).map(ResidualQuantizer)


@given(quantizers, arrays(np.float32, (5, 2), elements=numbers))
def test_codes_are_greedily_nearest(quantizer: ResidualQuantizer, vectors: np.ndarray) -> None:
    for vector, codes in zip(vectors, quantizer.codes(vectors), strict=True):
        residual = vector
        for codebook, code in zip(quantizer.codebooks, codes, strict=True):
            distances = ((residual - codebook) ** 2).sum(axis=1)
            assert code == distances.argmin()
            residual = residual - codebook[code]


def test_squared_distances_by_hand() -> None:
    distances = squared_distances(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [4.0, 6.0]]))
    np.testing.assert_allclose(distances, [[4, 25]])


def test_the_encoder_is_a_network_with_relu_between_its_layers() -> None:
    layers = (
        (np.array([[1.0, -1.0]], dtype=np.float32), np.array([0.5, 0.0], dtype=np.float32)),
        (np.array([[2.0], [3.0]], dtype=np.float32), np.array([1.0], dtype=np.float32)),
    )
    quantizer = ResidualQuantizer(np.zeros((1, 1, 1), dtype=np.float32), layers)
    np.testing.assert_allclose(quantizer.encode(np.array([[1.0], [-1.0]])), [[4.0], [4.0]])


@given(quantizers, arrays(np.float32, (2,), elements=numbers), st.data())
def test_a_new_item_gets_the_nearest_free_id(
    quantizer: ResidualQuantizer, vector: np.ndarray, data: st.DataObject
) -> None:
    every_id = list(product(range(3), repeat=2))
    taken = data.draw(st.sets(st.sampled_from(every_id), max_size=8))
    free = quantizer.free_id(vector, taken)
    assert free in set(every_id) - taken
    own = tuple(quantizer.codes(vector[None])[0])
    if own not in taken:
        assert free == own
    elif any((own[0], last) not in taken for last in range(3)):
        assert free[0] == own[0]
        residual = vector - quantizer.codebooks[0][own[0]]
        distances = ((residual - quantizer.codebooks[1]) ** 2).sum(axis=1)
        assert distances[free[1]] == min(
            distances[last] for last in range(3) if (own[0], last) not in taken
        )


def test_a_full_catalogue_is_refused() -> None:
    quantizer = ResidualQuantizer(np.zeros((1, 2, 1), dtype=np.float32))
    with pytest.raises(ValueError, match="every semantic ID is taken"):
        quantizer.free_id(np.zeros(1, dtype=np.float32), {(0,), (1,)})
