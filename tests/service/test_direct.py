"""POST /recommend has a short way and FastAPI's; nobody can tell which one a request took."""

from __future__ import annotations

import json

import httpx
import pytest
from starlette.types import Message

from service.api import direct
from service.api.schemas import RecommendRequest

WAYS = ("application/json", "application/any+json")
"""Content types that FastAPI reads alike; the short way leaves the second one alone."""
OWN = ("recommendation_id", "took_ms")
"""Of each answer alone."""


def both_ways(client: httpx.Client, body: bytes) -> list[httpx.Response]:
    return [
        client.post("/recommend", content=body, headers={"Content-Type": kind}) for kind in WAYS
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        {"history": ["lens"]},
        {"user_id": "nobody", "count": 3, "include_properties": True},
        {"history": ["lens", "unheard-of"], "effort": "deep", "filter": {"exclude_items": ["bag"]}},
        {"history": [{"item_id": "lens", "event_type": "view"}], "reasoning_steps": 1.0},
        {"history": ["lens"], "filter": {"categories": {"none": ["Unheard of"]}}},
    ],
)
def test_answers_are_the_same(client: httpx.Client, wanted: dict[str, object]) -> None:
    short, routed = both_ways(client, json.dumps(wanted).encode())
    assert short.status_code == routed.status_code == 200
    assert {*short.headers} == {*routed.headers}
    answers = [answer.json() for answer in (short, routed)]
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
    short, routed = both_ways(client, body)
    assert short.status_code == routed.status_code >= 400
    documents = [answer.json() for answer in (short, routed)]
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


def test_a_plain_request_takes_the_short_way(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bool] = []
    read = direct._read

    def read_and_tell(message: Message) -> RecommendRequest | None:
        request = read(message)
        taken.append(request is not None)
        return request

    monkeypatch.setattr(direct, "_read", read_and_tell)
    for kind in (*WAYS, "Application/JSON; charset=utf-8"):
        headers = {"Content-Type": kind}
        assert client.post("/recommend", content=b"{}", headers=headers).status_code == 200
    assert taken == [True, True]
    client.post("/recommend", content=b"{", headers={"Content-Type": WAYS[0]})
    assert taken == [True, True, False]
