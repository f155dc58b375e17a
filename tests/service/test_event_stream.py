"""Events by a Redis stream: stored once, by whichever worker lives, and the lag is told."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from redis import Redis
from structlog.testing import CapturingLogger

from model_export.contract.bundle import Bundle
from service import event_stream
from tests.service.conftest import running_shop


@pytest.fixture
def stream(redis_url: str, request: pytest.FixtureRequest) -> tuple[Any, str]:
    """A client of the server, and a stream of the test's own."""
    return Redis.from_url(redis_url), f"events:{request.node.name}"


def add(redis: Any, stream: str, **event: object) -> bytes:
    entry: bytes = redis.xadd(stream, {"event": json.dumps(event)})
    return entry


def history(client: httpx.Client, user: str, length: int) -> list[str]:
    """The user's items, once there are as many."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        events = client.get(f"/users/{user}/history").json()["events"]
        if len(events) >= length:
            return [event["item_id"] for event in events]
        time.sleep(0.05)
    raise AssertionError(f"{user} never had {length} events")


def metric(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(name + " ")))


def pending(redis: Any, stream: str) -> int:
    count: int = redis.xpending(stream, "streamrec")["pending"]
    return count


def test_what_was_added_before_and_after_the_start_is_stored_in_order(
    shop: Bundle, redis_url: str, stream: tuple[Any, str]
) -> None:
    redis, key = stream
    add(redis, key, user_id="s-1", item_id="lens", event_id="1")
    with running_shop(shop, redis_url, event_stream=key) as client:
        history(client, "s-1", 1)
        add(redis, key, user_id="s-1", item_id="lens", event_id="1")
        add(redis, key, user_id="s-1", item_id="bag", timestamp=1_700_000_000)
        assert history(client, "s-1", 2) == ["lens", "bag"]
        assert pending(redis, key) == 0
        assert metric(client, "streamrec_stream_lag") == 0
    assert redis.xinfo_groups(key)[0]["consumers"] == 0


def test_a_wrong_entry_holds_up_no_other(
    shop: Bundle,
    redis_url: str,
    stream: tuple[Any, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redis, key = stream
    told = CapturingLogger()
    monkeypatch.setattr(event_stream, "log", told)
    wrong = [redis.xadd(key, {"something": "else"}), add(redis, key, user_id="s-2")]
    add(redis, key, user_id="s-2", item_id="lens")
    with running_shop(shop, redis_url, event_stream=key) as client:
        assert history(client, "s-2", 1) == ["lens"]
        assert metric(client, 'streamrec_events_total{result="rejected"}') == 2
        assert pending(redis, key) == 0
    said = [call.kwargs for call in told.calls]
    assert [warning["entry"] for warning in said] == [entry.decode() for entry in wrong]
    assert said[1]["problem"] == "item_id: Field required"


def test_what_a_dead_worker_had_read_is_stored_once(
    shop: Bundle, redis_url: str, stream: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stored the first of two entries, and died before it could acknowledge either."""
    monkeypatch.setattr(event_stream, "_ABANDONED_MS", 50)
    redis, key = stream
    first = add(redis, key, user_id="s-3", item_id="lens")
    add(redis, key, user_id="s-3", item_id="bag")
    redis.xgroup_create(key, "streamrec", id="0")
    redis.xreadgroup("streamrec", "dead", {key: ">"})
    with running_shop(shop, redis_url) as client:
        event = {"user_id": "s-3", "item_id": "lens", "event_id": f"{key}:{first.decode()}"}
        client.post("/events", json={"events": [event]})
    assert pending(redis, key) == 2
    time.sleep(0.1)
    with running_shop(shop, redis_url, event_stream=key) as client:
        assert history(client, "s-3", 2) == ["lens", "bag"]
        deadline = time.monotonic() + 10
        while pending(redis, key):
            assert time.monotonic() < deadline
        assert history(client, "s-3", 2) == ["lens", "bag"]


def test_two_workers_share_the_stream(
    shop: Bundle, redis_url: str, stream: tuple[Any, str]
) -> None:
    redis, key = stream
    with (
        running_shop(shop, redis_url, event_stream=key) as one,
        running_shop(shop, redis_url, event_stream=key) as two,
    ):
        for number in range(300):
            add(redis, key, user_id=f"s-4-{number % 3}", item_id=f"i-{number}")
        found = [history(one, f"s-4-{user}", 100) for user in range(3)]
        items = sorted(item for part in found for item in part)
        assert items == sorted(f"i-{number}" for number in range(300))
        assert redis.xinfo_groups(key)[0]["consumers"] == 2
        assert history(two, "s-4-0", 100) == found[0]


def test_a_stream_that_vanishes_is_joined_anew(
    shop: Bundle, redis_url: str, stream: tuple[Any, str]
) -> None:
    redis, key = stream
    with running_shop(shop, redis_url, event_stream=key) as client:
        add(redis, key, user_id="s-5", item_id="lens")
        history(client, "s-5", 1)
        redis.delete(key)
        add(redis, key, user_id="s-5", item_id="bag")
        assert history(client, "s-5", 2) == ["lens", "bag"]


def test_what_waits_in_the_stream_outlives_an_erasure_until_the_next(
    shop: Bundle, redis_url: str, stream: tuple[Any, str]
) -> None:
    redis, key = stream
    add(redis, key, user_id="s-6", item_id="lens")
    with running_shop(shop, redis_url) as client:
        assert client.delete("/users/s-6").status_code == 204
    with running_shop(shop, redis_url, event_stream=key) as client:
        assert history(client, "s-6", 1) == ["lens"]
        assert client.delete("/users/s-6").status_code == 204
        assert history(client, "s-6", 0) == []


def test_a_key_that_is_no_stream_holds_up_nothing_but_the_stream(
    shop: Bundle, redis_url: str, stream: tuple[Any, str]
) -> None:
    redis, key = stream
    redis.set(key, "something else")
    with running_shop(shop, redis_url, event_stream=key) as client:
        event = {"user_id": "s-7", "item_id": "lens"}
        assert client.post("/events", json={"events": [event]}).status_code == 202
        redis.delete(key)
        add(redis, key, user_id="s-7", item_id="bag")
        assert history(client, "s-7", 2) == ["lens", "bag"]
