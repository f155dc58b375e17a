"""Requests made up from the OpenAPI document, against the real app: real graphs, Redis and HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from service.app import create_app
from service.embedded_redis import embedded_redis
from service.settings import Settings
from tests.service.conftest import running

KEY = "key-of-the-fuzzer-0123456789"
api = schemathesis.openapi.from_dict(
    create_app(
        Settings.model_validate({"bundle": "unused", "redis_url": "redis://unused"})
    ).openapi()
)


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Changes of items reach every app on the same Redis."""
    with embedded_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def url(tiny_bundle: Path, own_redis: str) -> Iterator[str]:
    given = {
        "bundle": tiny_bundle,
        "redis_url": own_redis,
        "redis_timeout": 5,
        "api_keys": f"fuzz:read+write+admin:{KEY}",
    }
    with running(create_app(Settings.model_validate(given))) as client:
        yield str(client.base_url)


@api.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_documented(case: schemathesis.Case, url: str) -> None:
    case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {KEY}"})
