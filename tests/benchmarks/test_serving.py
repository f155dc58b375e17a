"""The serving benchmark on a tiny bundle: real service, real HTTP, real Redis."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.serving.catalogues import write_untrained
from benchmarks.serving.floor import multiply_adds
from benchmarks.serving.measurements import bodies, store_histories
from benchmarks.serving.report import report
from benchmarks.serving.service import running
from model_export.contract.bundle import open_bundle, read_manifest
from model_export.contract.config import DeliberationConfig, InferenceConfig, ModelConfig
from model_export.contract.inverted_file import InvertedFile
from service.embedded_redis import embedded_redis
from training.args import ItemsConfig, RunConfig

SMALL = RunConfig(
    items=ItemsConfig(text_dims=8, levels=3, codes=8),
    model=ModelConfig(d_model=16, feedforward=32, max_history=10),
    deliberation=DeliberationConfig(candidates=12, d_model=16, heads=2, thoughts=2),
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmark") / "bundle"
    write_untrained(path, SMALL, 60)
    return path


def test_a_large_made_up_catalogue_is_served_through_an_index(tmp_path: Path) -> None:
    inference = InferenceConfig(exact_items=59, read_items=8)
    write_untrained(tmp_path / "large", SMALL.model_copy(update={"inference": inference}), 60)
    index = InvertedFile.of(open_bundle(tmp_path / "large"))
    assert index
    assert len(index) == 60
    assert index.reach == 8


def test_a_measurement_counts_requests_and_says_what_they_cost(
    bundle: Path, tmp_path: Path
) -> None:
    rows = [f"i{row}" for row in range(60)]
    with embedded_redis(tmp_path) as url:
        asyncio.run(store_histories(url, [rows[:5], rows[5:8]]))
        with running(bundle, url, tmp_path / "service.log") as service:
            closed = service.measure(bodies(2), 0.5, clients=2)
            arriving = service.measure(bodies(2, reasoning_steps=0), 1.0, rate=20)
            refused = service.measure([json.dumps({"count": 0})], 0.2, clients=1)
            assert service.resident_mb > service.own_mb > 10
    assert closed["requests"] > 5
    assert closed["refused"] == 0
    assert closed["per_second"] == closed["requests"] / 0.5
    assert 0 < closed["p50_ms"] <= closed["p99_ms"]
    assert 0 < closed["loop_cpu_ms"] < closed["cpu_ms"]
    assert all(closed[f"{stage}_ms"] > 0 for stage in ("history", "model", "record", "http"))
    assert 5 < arriving["requests"] < 60
    assert refused["requests"] == 0 < refused["refused"]

    report(
        {"service": {"sgemm_gflops": 100.0, "closed": [closed, closed | {"clients": 4}]}}, tmp_path
    )
    assert "requests/s" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "service-closed.png").is_file()


def test_the_floor_grows_with_what_is_asked_for(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    base = multiply_adds(manifest, 60, 5, 0, 8)
    assert multiply_adds(manifest, 60, 5, 2, 8) > multiply_adds(manifest, 60, 5, 1, 8) > base
    assert multiply_adds(manifest, 6_000, 5, 0, 8) - base == 5_940 * 16
    assert multiply_adds(manifest, 60, 50, 0, 8) == multiply_adds(manifest, 60, 10, 0, 8) > base
