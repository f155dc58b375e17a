"""Every call of docs/api.md is made, to a service that has some items of the sample shop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from model_export.contract.bundle import read_manifest, seal_bundle
from model_export.contract.catalog import Catalog
from service.app import create_app
from service.settings import Settings
from tests.end_to_end.test_readme_commands import ROOT, run
from tests.service.conftest import redis_url, running
from tests.service.tiny_bundle import ITEMS, write_tiny_bundle
from training.data.sample_catalog import make_catalog

__all__ = ["redis_url"]

DOCUMENT = (ROOT / "docs/api.md").read_text(encoding="utf-8")
CALLS = re.findall(r"`(curl [^`]+)`", DOCUMENT.partition("|---|")[2])
KEY = "a-key-for-every-call-of-the-document"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[httpx.Client]:
    bundle = tmp_path_factory.mktemp("api") / "bundle"
    write_tiny_bundle(bundle)
    Catalog(make_catalog(np.random.default_rng(0))[:ITEMS]).write(bundle / "catalog.jsonl")
    seal_bundle(bundle, read_manifest(bundle).model_copy(update={"files": {}}))
    given = {"bundle": bundle, "redis_url": redis_url, "redis_timeout": 5}
    keys = f"boss:read+write+admin:{KEY}"
    with running(create_app(Settings.model_validate(given | {"api_keys": keys}))) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        yield client


def test_every_call_is_answered_and_names_what_there_is(
    service: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / ".curlrc").write_text(f'silent\nfail\nheader = "Authorization: Bearer {KEY}"\n')
    asked = service.post("/recommend", json={"history": ["SKU-00001"]}).json()
    given = {
        "CURL_HOME": str(tmp_path),
        "URL": str(service.base_url),
        "ID": asked["recommendation_id"],
    }
    assert len(CALLS) > 15
    for call in CALLS:
        answer = run(call, tmp_path, **given)
        if answer.startswith("{"):
            found = json.loads(answer)
            assert not found.get("unknown_items"), call
            assert not found.get("unknown_categories"), call
            assert found.get("items") != [], call


def test_it_says_what_the_pages_of_the_document_load_from_elsewhere(service: httpx.Client) -> None:
    for page in ("/docs", "/redoc"):
        hosts = re.findall(r'(?:href|src)="https://([^/"]+)/', service.get(page).text)
        assert len(hosts) > 1
        assert [host for host in hosts if host not in DOCUMENT] == []
