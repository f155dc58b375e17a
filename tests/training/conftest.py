from __future__ import annotations

import pytest
import torch

from training.model import StreamRec

from . import tiny


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def model() -> StreamRec:
    return tiny.network()
