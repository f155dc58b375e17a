"""What is measured, by name: each entry starts the services that it needs and returns a table."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving.catalogues import write_untrained
from benchmarks.serving.floor import multiply_adds
from benchmarks.serving.service import Measured, Service, running
from model_export.contract.bundle import read_manifest
from service.stores.connection import Connection, user_key
from service.stores.histories import HistoryStore, Interaction
from training.args import RunConfig
from training.run import Run

ITEMS = 12_000
USERS = 500
HISTORY = 20
CLIENTS = (1, 8, 32, 64)
SHARES = (0.3, 0.5, 0.7, 0.9)
"""Arrival rates of the open loop, as shares of the rate at which the service saturates."""
BATCH = 8
_TIME = 1_700_000_000_000

Table = dict[str, Any]
Measure = Callable[["Bench"], Table]


@dataclass(frozen=True)
class Bench:
    """Where and how long to measure.

    Attributes:
        run: trained; None measures an untrained network of the default shape on made-up items.
        out: holds the bundle, and takes scratch bundles and logs.
        seconds: of one measurement.
    """

    run: Run | None
    out: Path
    redis_url: str
    seconds: float

    @property
    def bundle(self) -> Path:
        """The bundle that is measured where nothing else is said."""
        return self.out / "bundle"

    @property
    def config(self) -> RunConfig:
        """Shapes of its network."""
        return self.run.config if self.run else RunConfig()

    @property
    def n_items(self) -> int:
        """Size of its catalogue."""
        return len(self.run.catalog) if self.run else ITEMS

    @contextmanager
    def serve(self, bundle: Path, history: int = HISTORY, **settings: Any) -> Iterator[Service]:
        """A running service whose users have histories of one length."""
        catalog = (bundle / "catalog.jsonl").read_text(encoding="utf-8").splitlines()
        item_ids = [json.loads(line)["item_id"] for line in catalog]
        chosen = self._histories(len(item_ids), history)
        histories = [[item_ids[row] for row in rows] for rows in chosen]
        asyncio.run(store_histories(self.redis_url, histories))
        settings = {"max_batch": BATCH} | settings
        with running(bundle, self.redis_url, self.out / "service.log", **settings) as service:
            yield service

    def _histories(self, n_items: int, length: int) -> np.ndarray:
        """Real interactions in their order where the catalogue is the run's own, else made-up ones."""
        random = np.random.default_rng(0)
        if self.run and n_items == self.n_items:
            stream = self.run.sequences.items
        else:
            stream = random.integers(0, n_items, USERS * length)
        begins = random.integers(0, len(stream) - length, (USERS, 1))
        chosen: np.ndarray = stream[begins + np.arange(length)]
        return chosen

    @contextmanager
    def untrained(self, config: RunConfig, n_items: int, beam: float = 0.0) -> Iterator[Path]:
        """A bundle of an untrained network, gone afterwards."""
        folder = self.out / "untrained"
        shutil.rmtree(folder, ignore_errors=True)
        write_untrained(folder, config, n_items, beam=beam)
        yield folder
        shutil.rmtree(folder)


async def store_histories(redis_url: str, histories: Sequence[Sequence[str]]) -> None:
    """Give user `u0` the first of these histories of item ids, and so on."""
    connection = Connection(redis_url, 30.0, 4)
    store = HistoryStore(connection, max(map(len, histories)), None, 86_400)
    await store.replace(
        (f"u{user}", [Interaction(item_id, _TIME + n) for n, item_id in enumerate(item_ids)])
        for user, item_ids in enumerate(histories)
    )
    await connection.close()


def bodies(users: int = USERS, **options: object) -> list[str]:
    """One request for each user."""
    return [json.dumps({"user_id": f"u{user}"} | options) for user in range(users)]


def measurements(quick: bool) -> dict[str, Measure]:
    """Everything that is measured, in order."""
    sizes = (1_000, 12_000) if quick else (1_000, 12_000, 100_000, 1_000_000)
    shares = (0.7,) if quick else SHARES
    clients = (1, 32) if quick else CLIENTS
    found: dict[str, Measure] = {
        "service": partial(_clients, clients=clients, shares=shares),
        "eager": partial(_eager, clients=(1, 32)),
        "steps": partial(_steps, steps=(0, 2, 4) if quick else (0, 1, 2, 4, 6, 12)),
        "history": partial(_history, lengths=(5, 20, 50)),
        "batch": partial(_batch, sizes=(1, 8) if quick else (1, 4, 8, 16)),
        "beams": partial(_beams, widths=(20,) if quick else (10, 20, 50)),
    }
    return found | {f"items_{size}": partial(_size, n_items=size) for size in sizes}


def _clients(bench: Bench, clients: tuple[int, ...], shares: tuple[float, ...]) -> Table:
    with bench.serve(bench.bundle) as service:
        service.measure(bodies(), 1.0, clients=8)
        closed = [service.measure(bodies(), bench.seconds, clients=n) for n in clients]
        most = max(row["per_second"] for row in closed)
        loads = [service.measure(bodies(), bench.seconds, rate=share * most) for share in shares]
        manifest = read_manifest(bench.bundle)
        steps, texts = manifest.inference.efforts.balanced, bench.config.items.text_dims
        return {
            "closed": closed,
            "open": loads,
            "multiply_adds": multiply_adds(manifest, bench.n_items, HISTORY, steps, texts),
            **_footprint(bench, bench.bundle, service),
        }


def _footprint(bench: Bench, bundle: Path, service: Service) -> Measured:
    return {
        "ready_s": service.ready,
        "resident_mb": service.resident_mb,
        "own_mb": service.own_mb,
        "bundle_mb": sum(f.stat().st_size for f in bundle.rglob("*") if f.is_file()) / 2**20,
        "redis_bytes_per_user": asyncio.run(_redis_bytes(bench.redis_url)),
    }


async def _redis_bytes(url: str) -> float:
    connection = Connection(url, 30.0, 4)
    async with connection.calls() as redis:
        used = [await redis.memory_usage(user_key(f"u{n}", "history")) for n in range(20)]
    await connection.close()
    return float(np.mean(used))


def _eager(bench: Bench, clients: tuple[int, ...]) -> Table:
    """The same app, tables and weights twice: in eager torch, and in the bundle's graphs."""
    rows = {}
    run = [bench.run.folder.path] if bench.run else []
    for name, eager in {"eager": run, "graphs": None}.items():
        with bench.serve(bench.bundle, eager=eager) as service:
            service.measure(bodies(), 1.0, clients=8)
            rows[name] = [service.measure(bodies(), bench.seconds, clients=n) for n in clients]
    return rows


def _steps(bench: Bench, steps: tuple[int, ...]) -> Table:
    """An untrained network, which may take more steps than the trained one."""
    network = bench.config.model.model_copy(update={"max_steps": max(steps)})
    config = bench.config.model_copy(update={"model": network})
    with bench.untrained(config, bench.n_items) as bundle, bench.serve(bundle) as service:
        service.measure(bodies(), 1.0, clients=8)
        return {
            "closed": [
                {"steps": n} | service.measure(bodies(reasoning_steps=n), bench.seconds, clients=8)
                for n in steps
            ]
        }


def _history(bench: Bench, lengths: tuple[int, ...]) -> Table:
    rows = []
    for length in lengths:
        with bench.serve(bench.bundle, history=length) as service:
            service.measure(bodies(), 1.0, clients=8)
            measured = service.measure(bodies(), bench.seconds, clients=8)
            used = asyncio.run(_redis_bytes(bench.redis_url))
            rows.append({"history": length, **measured, "redis_bytes_per_user": used})
    return {"closed": rows}


def _batch(bench: Bench, sizes: tuple[int, ...]) -> Table:
    rows = []
    for size in sizes:
        with bench.serve(bench.bundle, max_batch=size) as service:
            service.measure(bodies(), 1.0, clients=8)
            measured = service.measure(bodies(), bench.seconds, clients=32)
            rows.append({"max_batch": size, **measured})
    return {"closed": rows}


def _beams(bench: Bench, widths: tuple[int, ...]) -> Table:
    rows = []
    for width in widths:
        inference = bench.config.inference.model_copy(update={"beams": width})
        config = bench.config.model_copy(update={"inference": inference})
        n_items = bench.n_items
        with (
            bench.untrained(config, n_items, beam=0.2) as bundle,
            bench.serve(bundle) as service,
        ):
            service.measure(bodies(), 1.0, clients=8)
            measured = service.measure(bodies(), bench.seconds, clients=8)
            rows.append({"beams": width, **measured})
    return {"closed": rows}


def _size(bench: Bench, n_items: int) -> Table:
    with (
        bench.untrained(bench.config, n_items) as bundle,
        bench.serve(bundle) as service,
    ):
        service.measure(bodies(), 1.0, clients=8)
        closed = [service.measure(bodies(), bench.seconds, clients=n) for n in (1, 8)]
        return {
            "closed": [{"items": n_items} | row for row in closed],
            **_footprint(bench, bundle, service),
        }
