"""A real Redis, real HTTP, and a small hand-made shop whose answers are easy to foresee."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import structlog
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray

from model_export.contract.bundle import Bundle, Manifest, open_bundle, seal_bundle, write_table
from model_export.contract.catalog import Catalog, Item
from model_export.contract.config import DeliberationConfig, InferenceConfig, ModelConfig
from model_export.contract.files import write_json
from service.app import create_app
from service.embedded_redis import embedded_redis
from service.http_protocol import StrictProtocol
from service.model import LoadedModel
from service.server import EMBEDDED_TIMEOUT
from service.settings import Settings
from service.trace import Answer, Query, ReplayedStep, StepTrace, Thoughts

# Its default draws every local variable around a fault, which takes seconds on a loaded machine.
structlog.configure(
    processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
)

ITEMS = [
    Item(item_id="camera", title="Camera", categories=["Photo", "Cameras"], brand="Lumo"),
    Item(item_id="lens", title="Lens", categories=["Photo", "Lenses"]),
    Item(item_id="tripod", title="Tripod", categories=["Photo", "Supports"]),
    Item(item_id="frame", title="Frame", categories=["Home"], properties={"price": 12}),
    Item(item_id="lamp", title="Lamp", categories=["Home"], available=False),
    Item(item_id="rug/red", title="Rug", categories=["Home"]),
    Item(item_id="vase", categories=["Home"]),
    Item(item_id="bag", title="Bag", categories=["Photo"]),
]


class CountingReasoner:
    """Recommends allowed items in row order; each step swaps the first two."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.may_run = threading.Event()
        self.may_run.set()

    def answer(self, queries: Sequence[Query]) -> Iterator[tuple[int, Answer]]:
        self.may_run.wait(10)
        self.batches.append(len(queries))
        yield from enumerate(self._one(query) for query in queries)

    def replay(
        self,
        histories: Sequence[Sequence[int]],
        allowed: NDArray[np.bool_],
        steps: int,
        *_: object,
    ) -> Iterator[ReplayedStep]:
        """The last item of the history is all that counts."""
        for _ in range(steps + 1):
            scores = np.tile(-np.arange(len(allowed), dtype=np.float32), (len(histories), 1))
            scores[
                np.arange(len(histories)), [(row[-1] + 1) % len(allowed) for row in histories]
            ] += 9
            scores[:, ~allowed] = -1e9
            yield ReplayedStep(scores, np.zeros((len(histories), 6), np.float32))

    def _one(self, query: Query) -> Answer:
        rows = np.flatnonzero(query.allowed)[: query.count]
        thoughts = Thoughts(
            written=[[step % 6, 5] for step in range(1, query.steps + 1)],
            chances=[[0.5, 0.25]] * query.steps,
            top=[[1, 0] if step % 2 else [0, 1] for step in range(query.steps + 1)],
        )
        ranks = np.tile(np.arange(1, len(rows) + 1), (query.steps + 1, 1))
        return Answer(rows, -rows.astype(np.float32), ranks, thoughts)

    def steps(self, history: Sequence[int], thoughts: Thoughts, *_: object) -> list[StepTrace]:
        last = len(thoughts.top) - 1
        return [
            StepTrace(
                written=(thoughts.written[step - 1][0], 0.5) if step else None,
                runners_up=[(5, 0.25)],
                nearest=[0, 1],
                top=top,
                attended=[(history[-1], 1.0)],
                distance=1 - step / max(1, last),
            )
            for step, top in enumerate(thoughts.top)
        ]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The hand-made shop as a bundle without graphs."""
    path = tmp_path_factory.mktemp("shop")
    Catalog(ITEMS).write(path / "catalog.jsonl")
    count = len(ITEMS)
    following = (np.arange(count) + 1) % count
    write_table(path, "item_vectors", np.eye(count, dtype=np.float32) * 0.9 + 0.1)
    write_table(path, "popularity", np.array([1, 2, 3, 4, 9, 6, 7, 8]))
    write_table(path, "memory_items", following[:, None])
    write_table(path, "memory_weights", np.ones((count, 1), dtype=np.float32))
    write_table(path, "text_items", np.full((count, 1), -1))
    write_table(path, "text_weights", np.zeros((count, 1), dtype=np.float32))
    write_json(path / "code_labels.json", [["photo", "home", "other"], ["a", "b", "c"]])
    manifest = Manifest(
        model_version="shop-1",
        verified=True,
        code_sizes=(3, 3),
        model=ModelConfig(max_steps=4),
        deliberation=DeliberationConfig.model_validate({}),
        inference=InferenceConfig(),
        scoring={},
    )
    seal_bundle(path, manifest)
    return open_bundle(path)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis server."""
    with embedded_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@contextmanager
def running(app: FastAPI) -> Iterator[httpx.Client]:
    """Serve `app` over real HTTP on a free port."""
    server = uvicorn.Server(
        uvicorn.Config(
            app, http=StrictProtocol, port=0, lifespan="on", log_config=None, access_log=False
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server took too long to start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def running_shop(
    bundle: Bundle, redis_url: str, reasoner: CountingReasoner | None = None, **settings: object
) -> Iterator[httpx.Client]:
    """Serve the hand-made shop."""
    defaults = {
        "bundle": Path("unused"),
        "redis_url": redis_url,
        "redis_timeout": EMBEDDED_TIMEOUT,
        "learn_from_events": False,  # the shop has not all of the evidence
    }
    chosen = Settings.model_validate(defaults | settings)

    def load(_: Settings) -> LoadedModel:
        used = reasoner or CountingReasoner()
        return LoadedModel(bundle, used, chosen.queue_size, chosen.max_batch)

    with running(create_app(chosen, load)) as client:
        yield client


@pytest.fixture(scope="session")
def client(shop: Bundle, redis_url: str) -> Iterator[httpx.Client]:
    """A client of the hand-made shop; tests keep apart by using users of their own."""
    with running_shop(shop, redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real bundle with real ONNX graphs of an untrained network."""
    from tests.service.tiny_bundle import write_tiny_bundle  # needs torch

    path = tmp_path_factory.mktemp("bundles") / "tiny"
    write_tiny_bundle(path)
    return path
