"""What follows what is learnt from events as they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from redis import Redis

from model_export.contract.bundle import open_bundle
from model_export.contract.config import EvidenceConfig
from service.embedded_redis import embedded_redis
from service.live import sync
from service.live.evidence import LiveEvidence
from service.live.items import LiveItems
from service.snapshot import Snapshot
from service.stores.connection import Connection
from service.stores.memory import Followers, MemoryStore
from tests.service.live_service import eventually, ids, recommended, serving, write_live_bundle

USERS = 24
WINDOWS = EvidenceConfig(window=1, wide_window=2, wide_fading=1.0)


@pytest.fixture(scope="module")
def live_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("live") / "bundle"
    write_live_bundle(tiny_bundle, path)
    return path


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[str]:
    with embedded_redis(tmp_path / "redis") as url:
        yield url


def walk(client: httpx.Client, users: str, *items: str) -> None:
    """USERS users go through the items one after the other."""
    events = [
        {"user_id": f"{users}-{number}", "item_id": item}
        for number in range(USERS)
        for item in items
    ]
    assert client.post("/events", json={"events": events}).json()["accepted"] == len(events)


def test_what_follows_a_new_item_is_known_to_all_and_outlives_a_restart(
    live_bundle: Path, own_redis: str
) -> None:
    with serving(live_bundle, own_redis) as one, serving(live_bundle, own_redis) as other:
        one.put("/items/novelty", json={"title": "Quux"})  # reads like nothing
        walk(one, "m", "novelty", "i20")
        for client in (one, other):
            assert eventually(lambda: recommended(client, "novelty")[:1] == ["i20"])  # noqa: B023
        answer = other.post("/recommend", json={"history": ["novelty"], "effort": "fast"}).json()
        assert answer["items"][0]["reasons"][0] == {
            "kind": "follows",
            "text": "often follows “Quux”",
            "item_ids": ["novelty"],
        }
    with serving(live_bundle, own_redis) as again:
        assert recommended(again, "novelty")[0] == "i20"


def test_after_a_restart_many_looks_make_one_snapshot(
    live_bundle: Path, own_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(live_bundle, own_redis) as client:
        before = recommended(client, "i11")
        walk(client, "q", *(f"i{number}" for number in range(12)), "i20")
        assert eventually(lambda: recommended(client, "i11") != before)
        after = recommended(client, "i11")
    monkeypatch.setattr(sync, "_ITEMS_AT_ONCE", 2)
    frozen: list[Snapshot] = []
    freeze = LiveItems.freeze
    monkeypatch.setattr(
        LiveItems, "freeze", lambda items: frozen.append(freeze(items)) or frozen[-1]
    )
    with serving(live_bundle, own_redis) as again:
        assert eventually(lambda: recommended(again, "i11") == after)
    assert len(frozen) == 1


def test_what_was_learnt_is_forgotten_with_redis(live_bundle: Path, own_redis: str) -> None:
    """What is learnt after the loss, and before the next look, does not hide it."""
    with serving(live_bundle, own_redis) as client, Redis.from_url(own_redis) as redis:
        before = recommended(client, "i11")
        walk(client, "r", "i11", "i20")
        assert eventually(lambda: recommended(client, "i11") != before)
        with redis.pipeline() as pipe:
            pipe.flushall()
            pipe.execute()
        elsewhere = recommended(client, "i3")
        walk(client, "s", "i3", "i30")
        assert eventually(lambda: recommended(client, "i3") != elsewhere)
        assert recommended(client, "i11") == before


def test_a_new_item_becomes_known_as_what_follows_and_as_popular(
    live_bundle: Path, own_redis: str
) -> None:
    with serving(live_bundle, own_redis) as client:
        client.put("/items/novelty", json={"title": "Quux", "categories": ["strange"]})
        strange = {"category": "strange"}
        assert client.get("/popular", params=strange).json()["items"][0]["interactions"] == 0
        assert "novelty" not in recommended(client, "i4", count=5)
        walk(client, "n", "i4", "novelty")
        assert eventually(lambda: "novelty" in recommended(client, "i4", count=5))
        assert client.get("/popular", params=strange).json()["items"][0]["interactions"] == USERS
        client.delete("/items/novelty")
        assert "novelty" not in recommended(client, "i4", count=50)
        assert ids(client.get("/popular", params=strange)) == []


def test_it_can_be_switched_off(live_bundle: Path, own_redis: str) -> None:
    with serving(live_bundle, own_redis, learn_from_events=False) as client:
        client.put("/items/novelty", json={"title": "Quux"})
        before = recommended(client, "novelty")
        walk(client, "o", "novelty", "i20")
    with serving(live_bundle, own_redis) as client:
        assert recommended(client, "novelty") == before


@asynccontextmanager
async def in_redis(url: str, **bounds: int) -> AsyncIterator[MemoryStore]:
    connection = Connection(url, timeout=5, max_connections=4)
    yield MemoryStore(connection, 30, **{"followers": 10, "items": 100, **bounds})
    await connection.close()


def learnt(url: str, *sequences: list[str], **bounds: int) -> dict[str, Followers]:
    """What Redis holds once each sequence was learnt as the new events of one user."""

    async def run() -> dict[str, Followers]:
        async with in_redis(url, **bounds) as store:
            for sequence in sequences:
                store.learn([], sequence, WINDOWS)
                await store.send()
            return (await store.since(None, 1_000))[1]

    return asyncio.run(run())


def test_counts_are_those_of_training(own_redis: str) -> None:
    found = learnt(own_redis, ["a", "b", "c", "c"])
    assert {item: round(known.events) for item, known in found.items()} == {"a": 1, "b": 1, "c": 2}
    assert found["a"].by_window["memory"] == pytest.approx({"b": 1}, rel=1e-3)
    assert found["a"].by_window["wide"] == pytest.approx({"b": 1, "c": 0.5}, rel=1e-3)
    assert found["b"].by_window["wide"] == pytest.approx({"c": 1.5}, rel=1e-3)
    assert found["c"].by_window == {"memory": {}, "wide": {}}  # nothing follows itself


def test_only_new_events_are_learnt_from(own_redis: str) -> None:
    async def run() -> dict[str, Followers]:
        async with in_redis(own_redis) as store:
            store.learn(["a", "b"], ["c"], WINDOWS)
            await store.send()
            return (await store.since(None, 1_000))[1]

    found = asyncio.run(run())
    assert {item: round(known.events) for item, known in found.items()} == {"a": 0, "b": 0, "c": 1}
    assert found["b"].by_window["memory"] == pytest.approx({"c": 1}, rel=1e-3)


def test_an_item_keeps_its_most_frequent_followers_only(own_redis: str) -> None:
    found = learnt(
        own_redis, ["a", "b"], ["a", "b"], ["a", "c"], ["a", "c"], ["a", "d"], followers=2
    )
    assert set(found["a"].by_window["wide"]) == {"b", "c"}


def test_the_items_with_the_latest_events_are_kept_only(own_redis: str) -> None:
    found = learnt(own_redis, ["a", "b"], ["c", "d"], ["e", "f"], items=4)
    assert set(found) == {"c", "d", "e", "f"}


def test_nothing_is_read_twice(own_redis: str) -> None:
    async def run() -> list[Any]:
        async with in_redis(own_redis) as store:
            store.learn([], ["a", "b"], WINDOWS)
            await store.send()
            version, first = await store.since(None, 1)
            last, second = await store.since(version, 1)
            return [first, second, (await store.since(last, 1))[1]]

    first, second, third = asyncio.run(run())
    assert {*first, *second} == {"a", "b"}
    assert third == {}


_FILL = """
for item = 1, 500 do
  redis.call('ZADD', 'streamrec:{memory:30}:versions', 1e15 + item, item)
  for follower = 1, 200 do
    redis.call('ZADD', 'streamrec:{memory:30}:wide:' .. item, follower / 7, follower)
  end
end
"""


class CountedCalls(Connection):
    """Knows how many blocks of calls, each with a time limit of its own, were made."""

    count = 0

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[Any]:
        self.count += 1
        async with super().calls() as redis:
            yield redis


def test_the_time_of_a_call_need_not_do_for_all_followers(own_redis: str) -> None:
    async def calls() -> int:
        connection = CountedCalls(own_redis, timeout=5, max_connections=4)
        _, found = await MemoryStore(connection, 30, 200, 1000).since(None, 500)
        assert [len(known.by_window["wide"]) for known in found.values()] == [200] * 500
        await connection.close()
        return connection.count

    Redis.from_url(own_redis, socket_timeout=60).eval(_FILL, 0)
    assert asyncio.run(calls()) >= 50


def test_counts_of_both_times_weigh_as_if_counted_together(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    shrink = bundle.manifest.evidence.shrink
    popularity = bundle.table("popularity")
    items, weights = bundle.table("memory_items"), bundle.table("memory_weights")
    row = next(r for r in range(len(items)) if len({*items[r], r}) == items.shape[1] + 1)
    known, stranger = int(items[row, 0]), next(r for r in range(40) if r not in {*items[row], row})
    counted = weights[row, 0] * ((popularity[row] * popularity[known]) ** 0.5 + shrink)

    evidence = LiveEvidence(bundle)
    for other, events in ((row, 9), (known, 4), (stranger, 6)):
        evidence.count(other, events)
    evidence.follow(row, {"memory": {known: 4.0, stranger: 500.0}, "wide": {}})
    scorer = evidence.freeze()

    def weight(follower: int, count: float, events: int) -> float:
        together = (popularity[row] + 9) * (popularity[follower] + events)
        return float(count / (together**0.5 + shrink))

    sources, followers = np.array([row]), np.array([known, stranger])
    found = sorted(scorer.tables["memory"].links(sources, followers))
    (_, _, with_known), (_, _, with_stranger) = found
    [(_, _, back)] = scorer.tables["reverse"].links(followers[1:], sources)
    assert back == with_stranger
    assert with_known == pytest.approx(weight(known, counted + 4, 4), rel=1e-4)
    assert with_stranger == pytest.approx(weight(stranger, 500, 6), rel=1e-4)
