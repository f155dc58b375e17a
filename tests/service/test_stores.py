"""Histories and recorded recommendations in a real Redis."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.errors import StoreError
from service.stores.connection import Connection
from service.stores.histories import Event, HistoryStore, Interaction
from service.stores.recommendations import RecommendationStore, Served


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    connection = Connection(url, timeout=5, max_connections=8)
    await connection.redis.flushdb()
    try:
        yield connection
    finally:
        await connection.close()


def on(url: str, check: Callable[[Connection], Awaitable[None]]) -> None:
    """Run an async check on an empty Redis."""

    async def run() -> None:
        async with connected(url) as connection:
            await check(connection)

    asyncio.run(run())


def histories(connection: Connection, cap: int = 5, ttl: int | None = None) -> HistoryStore:
    return HistoryStore(connection, cap, ttl, event_id_ttl=60)


def event(item: str, event_id: str | None = None) -> Event:
    return Event(Interaction(item, 1, "view"), event_id)


async def items(store: HistoryStore, user: str) -> list[str]:
    return [interaction.item_id for interaction in await store.read(user)]


def test_a_history_keeps_its_order_and_its_cap(redis_url: str) -> None:
    async def check(connection: Connection) -> None:
        store = histories(connection)
        assert await store.append("u", [event(name) for name in "abc"]) == 3
        assert await store.append("u", [event(name) for name in "defg"]) == 4
        assert await items(store, "u") == list("cdefg")
        assert (await store.read("u"))[0] == Interaction("c", 1, "view")
        assert await store.read("stranger") == []

    on(redis_url, check)


def test_nothing_is_written_any_more_once_a_failure_is_told(redis_url: str) -> None:
    async def check(connection: Connection) -> None:
        store = histories(connection)
        await connection.ping()
        running = asyncio.all_tasks()
        await connection.redis.set("streamrec:{broken}:history", "not a list")
        users = ["broken", *(f"u-{number}" for number in range(40))]
        with pytest.raises(StoreError):
            await store.append_all({user: [event("a")] for user in users})
        assert asyncio.all_tasks() == running
        assert [await items(store, user) for user in users[1:]] == [["a"]] * 40

    on(redis_url, check)


@pytest.mark.parametrize("more", [0, 20])
def test_an_event_id_is_stored_once(redis_url: str, more: int) -> None:
    async def check(connection: Connection) -> None:
        store = histories(connection, cap=100)
        sent = [event("x", f"x-{number}") for number in range(more)]
        assert await store.append("w", [*sent, event("a", "1"), event("b", "1"), *sent]) == more + 1
        assert await store.append("w", [*sent, event("c", "1"), event("d", "2")]) == 1
        assert await items(store, "w") == [*"x" * more, "a", "d"]
        assert await store.append("u", [event("a", "1"), event("b", "2"), event("a", "1")]) == 2
        assert await store.append("u", [event("b", "2"), event("c", "3"), event("d")]) == 2
        assert await items(store, "u") == list("abcd")
        assert await store.append("v", [event("a", "1")]) == 1

    on(redis_url, check)


def test_concurrent_writers_lose_and_double_nothing(redis_url: str) -> None:
    async def check(connection: Connection) -> None:
        store = histories(connection, cap=100)
        sent = [event(str(number), str(number)) for number in range(20)]
        stored = await asyncio.gather(*(store.append("u", [one]) for one in sent + sent))
        assert sum(stored) == 20
        assert sorted(await items(store, "u"), key=int) == [str(number) for number in range(20)]

    on(redis_url, check)


def test_an_inactive_history_is_forgotten(redis_url: str) -> None:
    async def check(connection: Connection) -> None:
        await histories(connection, ttl=30).append("u", [event("a")])
        ttl: Any = connection.redis.ttl("streamrec:{u}:history")
        assert 0 < await ttl <= 30

    on(redis_url, check)


def test_only_what_grows_is_kept_for_longer(redis_url: str) -> None:
    async def check(connection: Connection) -> None:
        store = histories(connection, ttl=30)
        await store.append("u", [event("a", "1")])
        for what in ("history", "event_ids"):
            await connection.redis.expire(f"streamrec:{{u}}:{what}", 9)
        shown = Event(Interaction("b", 1, "impression"), beside=True)
        assert await store.append("u", [event("a", "1"), shown]) == 1
        left = [
            await connection.redis.ttl(f"streamrec:{{u}}:{what}")
            for what in ("history", "event_ids", "beside")
        ]
        assert left[0] <= 9
        assert left[1] <= 9
        assert left[2] > 9

    on(redis_url, check)


def test_a_full_redis_stores_nothing_of_a_batch(redis_url: str) -> None:
    async def check(connection: Connection) -> None:
        store = histories(connection)
        batch = [event("a", "1"), event("b"), Event(Interaction("c", 1), "2", beside=True)]
        await connection.redis.config_set("maxmemory", 1)
        try:
            with pytest.raises(StoreError):
                await store.append("u", batch)
        finally:
            await connection.redis.config_set("maxmemory", 0)
        assert await connection.redis.keys("*") == []
        assert await store.append("u", batch) == 3

    on(redis_url, check)


def test_a_batch_may_be_long(redis_url: str) -> None:
    async def check(connection: Connection) -> None:
        learnt: list[tuple[list[str], list[str]]] = []
        store = HistoryStore(connection, 50, None, 60, lambda *given: learnt.append(given))
        sent = [event(str(number), str(number)) for number in range(20_000)]
        assert await store.append("u", sent) == len(sent)
        assert await items(store, "u") == [str(number) for number in range(19_950, 20_000)]
        assert await store.append("u", [*sent[-1_000:], event("last")]) == 1
        assert learnt[0] == ([], [str(number) for number in range(20_000)])
        assert learnt[1] == ([str(number) for number in range(19_950, 20_000)], ["last"])

    on(redis_url, check)


def test_replacing_histories_in_bulk(redis_url: str) -> None:
    async def check(connection: Connection) -> None:
        store = histories(connection, cap=2)
        await store.append("u", [event("old", "1")])
        await store.replace(
            [
                ("u", [Interaction(name, 1) for name in "abc"]),
                ("v", [Interaction("x", 1)]),
                ("w", []),
            ]
        )
        assert await items(store, "u") == ["b", "c"]
        assert await items(store, "v") == ["x"]
        assert await store.append("u", [event("old", "1")]) == 1

    on(redis_url, check)


@pytest.mark.parametrize("user", ["u", "}", "{a}b", "a b/c", "ü\x00\n", "*"])
def test_erasure_leaves_no_key(redis_url: str, user: str) -> None:
    async def check(connection: Connection) -> None:
        store, records = histories(connection), RecommendationStore(connection, ttl=60)
        for name in (user, "other"):
            ignored = Event(Interaction("a", 1, "impression"), beside=True)
            await store.append(name, [event("a", "1"), ignored])
            await records.put(f"record-of-{name}", b"{}", Served("m", "deep", ["a"]), name)
            assert await records.click([(f"record-of-{name}", "a")])
        await records.erase(user)
        await store.erase(user)
        left = sorted([key.decode() async for key in connection.redis.scan_iter()])
        assert left == [
            *(
                f"streamrec:{{other}}:{what}"
                for what in ("beside", "event_ids", "history", "recommendations")
            ),
            *(
                f"streamrec:{{recommendation:record-of-other}}:{what}"
                for what in ("clicked", "record")
            ),
        ]

    on(redis_url, check)


def test_records_expire(redis_url: str) -> None:
    async def check(connection: Connection) -> None:
        records = RecommendationStore(connection, ttl=30)
        await records.put("r", b'{"a": 1}', Served("m", "deep", ["a"]), None)
        assert await records.get("r") == b'{"a": 1}'
        assert await records.get("q") is None
        await records.click([("r", "a")])
        for what in ("record", "clicked"):
            ttl: Any = connection.redis.ttl(f"streamrec:{{recommendation:r}}:{what}")
            assert 0 < await ttl <= 30

    on(redis_url, check)


def test_a_recommended_item_is_clicked_once(redis_url: str) -> None:
    async def check(connection: Connection) -> None:
        one, other = (RecommendationStore(connection, ttl=30) for _ in range(2))
        served = Served("m-1", "deep", ["a", "b"])
        await one.put("r", b"{}", served, None)
        assert await one.click([("r", "a"), ("r", "a"), ("r", "x"), ("ghost", "a")]) == [served]
        assert await other.click([("r", "a"), ("r", "b")]) == [served]
        assert await other.click([]) == []

    on(redis_url, check)


def test_events_that_weigh_nothing_do_not_crowd_out_a_history(redis_url: str) -> None:
    async def check(connection: Connection) -> None:
        store = histories(connection, cap=3)
        shown = [Event(Interaction("x", 1, "impression"), str(n), beside=True) for n in range(9)]
        assert await store.append("u", [event("a"), *shown, *shown, event("b")]) == 11
        assert await items(store, "u") == ["a", "b"]
        assert len(await store.read("u", beside=True)) == 3

    on(redis_url, check)


def test_a_redis_that_is_not_there() -> None:
    failures: list[int] = []

    async def run() -> None:
        connection = Connection("redis://127.0.0.1:1", 0.2, 2, lambda: failures.append(1))
        for call in (
            connection.ping(),
            histories(connection).read("u"),
            histories(connection).append("u", [event("a", "1")]),
        ):
            with pytest.raises(StoreError):
                await call
        await connection.close()

    asyncio.run(run())
    assert len(failures) == 3


def test_a_redis_that_hangs_is_given_up_in_time() -> None:
    async def run(port: int) -> None:
        connection = Connection(f"redis://127.0.0.1:{port}", 0.1, 2)
        started = time.monotonic()
        with pytest.raises(StoreError):
            await histories(connection).read("u")
        assert time.monotonic() - started < 2
        await connection.close()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.run(run(silent.getsockname()[1]))
