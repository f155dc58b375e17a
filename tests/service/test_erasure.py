"""Erasure: afterwards the user is nowhere in Redis."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from model_export.contract.bundle import Bundle
from service.embedded_redis import embedded_redis
from tests.service.conftest import running_shop

USER = "erase-me/ü{}*"
PATH = "/users/erase-me%2F%C3%BC%7B%7D%2A"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[redis.Redis]:
    with embedded_redis(tmp_path) as url, redis.Redis.from_url(url) as client:
        yield client


def everything(client: redis.Redis) -> dict[bytes, list[bytes]]:
    """Every key and all that it holds, compressed records unpacked."""
    readers = {
        b"none": lambda _: [],  # a rate limit, which lasts for milliseconds
        b"string": lambda key: [client.get(key) or b""],
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": lambda key: list(client.smembers(key)),
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"hash": lambda key: [part for pair in client.hgetall(key).items() for part in pair],
    }
    found = {}
    for key in client.scan_iter():
        values = readers[client.type(key)](key)
        found[key] = [_unpacked(value) for value in values]
    return found


def _unpacked(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value


def live(http: httpx.Client, user: str) -> list[str]:
    """Use everything that stores something; returns the recommendation ids."""
    made = []
    for number, item in enumerate(("camera", "lens")):
        event = {"event_id": f"id-{user}-{number}", "user_id": user, "item_id": item}
        assert http.post("/events", json={"events": [event]}).json()["accepted"] == 1
        answer = http.post("/recommend", json={"user_id": user, "explain": True}).json()
        clicked = answer["items"][0]["item_id"]
        click = {**event, "event_id": f"click-{user}-{number}", "item_id": clicked}
        click["recommendation_id"] = answer["recommendation_id"]
        assert http.post("/events", json={"events": [click]}).json()["accepted"] == 1
        made.append(answer["recommendation_id"])
    return made


def test_nothing_of_an_erased_user_is_left(shop: Bundle, own_redis: redis.Redis) -> None:
    url = f"unix://{own_redis.connection_pool.connection_kwargs['path']}"
    with running_shop(shop, url, rate_limit=1000.0) as http:
        live(http, "somebody-else")
        before = everything(own_redis)
        made = live(http, USER)
        assert any(b"erase-me" in key for key in everything(own_redis))
        assert http.delete(PATH).status_code == 204
        after = everything(own_redis)
        marks = [b"erase-me", *(name.encode() for name in made)]
        for key, values in after.items():
            for text in (key, *values):
                assert not any(mark in text for mark in marks), key
        kept = {key for key in after if not key.startswith(b"streamrec:rate:")}
        assert kept == {key for key in before if not key.startswith(b"streamrec:rate:")}
        for name in made:
            assert http.get(f"/explain/{name}").status_code == 404
        assert http.get(f"{PATH}/history").json()["events"] == []
        assert len(http.get("/users/somebody-else/history").json()["events"]) == 4
