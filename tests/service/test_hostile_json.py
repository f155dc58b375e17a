"""Bodies beyond their limits, each refused with a problem document that names the field."""

from __future__ import annotations

import json

import httpx
import pytest

from service.api.schemas import MAX_COUNT, MAX_EVENTS, MAX_HISTORY
from tests.service.test_problems import assert_problem

LONG = "x" * 257


def post(client: httpx.Client, path: str, content: bytes | str) -> httpx.Response:
    return client.post(path, content=content, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/recommend", {"user_id": LONG}, "body.user_id"),
        ("/recommend", {"user_id": ""}, "body.user_id"),
        ("/recommend", {"user_id": "a\x00b"}, "body.user_id"),
        ("/recommend", {"history": [LONG]}, "body.history.0"),
        ("/recommend", {"history": ["a"] * (MAX_HISTORY + 1)}, "body.history"),
        ("/recommend", {"count": MAX_COUNT + 1}, "body.count"),
        ("/recommend", {"count": 10**30}, "body.count"),
        ("/recommend", {"filter": {"include_items": ["a"] * 10_001}}, "body.filter.include_items"),
        ("/recommend", {"unknown": 1}, "body.unknown"),
        ("/events", {"events": []}, "body.events"),
        ("/events", {"events": [{}] * (MAX_EVENTS + 1)}, "body.events"),
    ],
)
def test_limits(client: httpx.Client, path: str, body: object, field: str) -> None:
    refused = post(client, path, json.dumps(body))
    assert_problem(refused, 422)
    assert any(error["location"].startswith(field) for error in refused.json()["errors"])


@pytest.mark.parametrize(
    "event",
    [
        {"user_id": LONG, "item_id": "a"},
        {"user_id": "u", "item_id": "a\n"},
        {"user_id": "u", "item_id": "a", "event_id": LONG},
        {"user_id": "u", "item_id": "a", "timestamp": 1e300},
        {"user_id": "u", "item_id": "a", "timestamp": -1},
    ],
)
def test_a_wrong_event_is_rejected_alone(client: httpx.Client, event: dict[str, object]) -> None:
    good = {"user_id": "hostile", "item_id": "lens"}
    receipt = post(client, "/events", json.dumps({"events": [event, good]})).json()
    assert receipt["accepted"] == 1
    assert [rejected["index"] for rejected in receipt["rejected"]] == [0]


@pytest.mark.parametrize(
    "content",
    [
        b'{"events": [' + b"[" * 50_000,
        b'{"events": [{"user_id": "\\ud800", "item_id": "a"}]}',
        b'{"events": [{"user_id": "u", "item_id": "a", "timestamp": NaN}]}',
        b'{"events": [{"user_id": "u", "item_id": "a", "timestamp": Infinity}]}',
    ],
)
def test_events_that_are_no_json_store_nothing(client: httpx.Client, content: bytes) -> None:
    answer = post(client, "/events", content)
    assert answer.status_code in {202, 400, 422}
    if answer.status_code == 202:
        assert answer.json()["accepted"] == 0


def test_of_a_key_that_stands_twice_the_last_counts(client: httpx.Client) -> None:
    answer = post(client, "/recommend", '{"count": 1000, "history": ["lens"], "count": 2}')
    assert len(answer.json()["items"]) == 2
