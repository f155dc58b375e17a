from __future__ import annotations

import pytest

from tests.blocked_imports import blocking


@pytest.fixture(scope="session")
def without_heavy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which nothing that training or serving needs can be imported."""
    heavy = ["torch", "polars", "scipy", "sklearn", "onnxruntime", "fastapi", "redis", "matplotlib"]
    return blocking(tmp_path_factory.mktemp("blocked"), heavy)
