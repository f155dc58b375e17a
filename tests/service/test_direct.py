"""POST /recommend has a short way and FastAPI's; nobody can tell which one a request took."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

JSON = {"Content-Type": "application/json"}
OWN = ("recommendation_id", "took_ms")
"""Of each answer alone."""


def in_parts(body: bytes) -> Iterator[bytes]:
    """Arrives in two pieces, which the short way leaves alone."""
    yield body[:5]
    yield body[5:]


def both_ways(client: httpx.Client, body: bytes) -> list[httpx.Response]:
    return [
        client.post("/recommend", content=content, headers=JSON)
        for content in (body, in_parts(body))
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        {"history": ["lens"]},
        {"user_id": "nobody", "count": 3, "include_properties": True},
        {"history": ["lens", "unheard-of"], "effort": "deep", "filter": {"exclude_items": ["bag"]}},
        {"history": [{"item_id": "lens", "event_type": "view"}], "reasoning_steps": 1.0},
    ],
)
def test_answers_are_the_same(client: httpx.Client, wanted: dict[str, object]) -> None:
    direct, routed = both_ways(client, json.dumps(wanted).encode())
    assert direct.status_code == routed.status_code == 200
    assert {*direct.headers} == {*routed.headers}
    answers = [answer.json() for answer in (direct, routed)]
    for answer in answers:
        for name in OWN:
            del answer[name]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{",
        b'{"count": 0}',
        b'{"user_id": "\\ud800"}',
        b'{"count": NaN}',
        b"[" * 9999,
    ],
)
def test_problems_are_the_same(client: httpx.Client, body: bytes) -> None:
    direct, routed = both_ways(client, body)
    assert direct.status_code == routed.status_code >= 400
    documents = [answer.json() for answer in (direct, routed)]
    for document in documents:
        del document["request_id"]
    assert documents[0] == documents[1]


def test_both_are_measured_as_one_route(client: httpx.Client) -> None:
    def counted() -> float:
        lines = client.get("/metrics").text.splitlines()
        of_route = 'duration_seconds_count{method="POST",route="/recommend",status="200"}'
        return sum(float(line.split()[-1]) for line in lines if of_route in line)

    before = counted()
    both_ways(client, b'{"history": ["lens"]}')
    assert counted() == before + 2
