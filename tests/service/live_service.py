"""The real app with real graphs, in which text and what followed count for more than an untrained network."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from model_export.contract.bundle import read_manifest, seal_bundle
from service.app import create_app
from service.server import EMBEDDED_TIMEOUT
from service.settings import Settings
from tests.service.conftest import running

SCORING = {"state": 0.01, "memory@0.4": 1.0, "text@0.8": 3.0, "beam": 0.2}


def write_live_bundle(tiny: Path, path: Path, version: str = "live-1") -> None:
    """A copy of the tiny bundle with other weights of the mix."""
    shutil.copytree(tiny, path)
    changes = {"scoring": SCORING, "model_version": version}
    seal_bundle(path, read_manifest(path).model_copy(update=changes))


@contextmanager
def serving(bundle: Path, redis_url: str, **settings: object) -> Iterator[httpx.Client]:
    """Serve a bundle."""
    defaults = {"bundle": bundle, "redis_url": redis_url, "redis_timeout": EMBEDDED_TIMEOUT}
    with running(create_app(Settings.model_validate(defaults | settings))) as client:
        yield client


def ids(answer: httpx.Response) -> list[str]:
    """The ids of the items of an answer."""
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


def recommended(client: httpx.Client, *history: str, **body: object) -> list[str]:
    """What is recommended at first sight, where the mix alone decides."""
    asked = {"history": list(history), "effort": "fast", "count": 5}
    return ids(client.post("/recommend", json=asked | body))


def eventually(holds: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether something comes true within a time that suits a busy machine."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
