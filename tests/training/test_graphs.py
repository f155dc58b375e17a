from __future__ import annotations

import torch

from training.graphs import split_cache, stack_cache


def test_a_cache_survives_stacking() -> None:
    cache = [(torch.randn(2, 3, 4), torch.randn(2, 3, 4)) for _ in range(2)]
    keys, values = stack_cache(cache)
    assert keys.shape == values.shape == (2, 2, 3, 4)
    for own, other in zip(cache, split_cache(keys, values), strict=True):
        assert torch.equal(own[0], other[0])
        assert torch.equal(own[1], other[1])
