"""POST /recommend over real HTTP."""

from __future__ import annotations

import socket

import httpx
import pytest

from model_export.contract.bundle import Bundle
from tests.service.conftest import running_shop


def recommend(client: httpx.Client, **body: object) -> dict[str, object]:
    response = client.post("/recommend", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def ids(answer: dict[str, object]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_an_unknown_user_gets_popular_items_that_say_so(client: httpx.Client) -> None:
    answer = recommend(client, user_id="nobody", count=3)
    assert ids(answer) == ["bag", "vase", "rug/red"]
    assert all(item["reasons"][0]["kind"] == "popular" for item in answer["items"])
    assert answer["reasoning_steps"] == 0
    assert not answer["degraded"]


def test_an_event_changes_the_next_answer(client: httpx.Client) -> None:
    sent = client.post("/events", json={"events": [{"user_id": "r-1", "item_id": "camera"}]})
    assert sent.status_code == 202
    answer = recommend(client, user_id="r-1", count=2)
    assert ids(answer) == ["lens", "tripod"]
    assert answer["items"][0]["reasons"][0] == {
        "kind": "follows",
        "text": "often follows “Camera”",
        "item_ids": ["camera"],
    }
    assert answer["reasoning_steps"] == 2


def test_an_inline_history_is_read_in_the_order_of_its_times(client: httpx.Client) -> None:
    early = {"item_id": "tripod", "timestamp": "2026-01-01T00:00:00Z"}
    late = {"item_id": "camera", "timestamp": "2026-01-02T00:00:00Z"}
    named = [
        [
            item["item_id"]
            for item in recommend(client, history=h, explain=True)["explanation"]["history"]
        ]
        for h in ([early, late], [late, early])
    ]
    assert named == [["tripod", "camera"]] * 2


def test_an_inline_history_overrides_the_stored_one(client: httpx.Client) -> None:
    client.post("/events", json={"events": [{"user_id": "r-2", "item_id": "camera"}]})
    history = ["lens", {"item_id": "tripod", "timestamp": "2026-01-01T00:00:00Z"}]
    assert ids(recommend(client, user_id="r-2", history=history, count=1)) == ["camera"]


def test_unknown_items_are_ignored_and_listed(client: httpx.Client) -> None:
    answer = recommend(client, history=["ghost", "camera", "ghost", "spirit"], count=1)
    assert ids(answer) == ["lens"]
    assert answer["unknown_items"] == ["ghost", "spirit"]


def test_a_filter_on_unknown_items_says_which(client: httpx.Client) -> None:
    wanted = {"include_items": ["lens", "ghost", "shade"], "exclude_items": ["spirit", "ghost"]}
    answer = recommend(client, history=["camera", "shade"], filter=wanted)
    assert ids(answer) == ["lens"]
    assert answer["unknown_items"] == ["shade", "ghost", "spirit"]
    known = {"include_items": ["lens"], "exclude_items": ["bag"]}
    assert recommend(client, history=["camera"], filter=known)["unknown_items"] == []


def test_a_filter_on_unknown_categories_says_which(client: httpx.Client) -> None:
    wanted = {"any": ["Lenses", "Ghosts"], "none": ["Spirits", "Ghosts", "Photo"]}
    answer = recommend(client, history=["camera"], filter={"categories": wanted})
    assert answer["unknown_categories"] == ["Ghosts", "Spirits"]
    unheard_of = recommend(client, user_id="nobody", filter={"categories": {"all": ["Lense"]}})
    assert ids(unheard_of) == []
    assert unheard_of["unknown_categories"] == ["Lense"]
    assert recommend(client, history=["camera"])["unknown_categories"] == []


@pytest.mark.parametrize(
    ("chosen", "steps"),
    [
        ({"effort": "fast"}, 0),
        ({}, 2),
        ({"effort": "deep"}, 4),
        ({"effort": "deep", "reasoning_steps": 3}, 3),
        ({"reasoning_steps": 60}, 4),
    ],
)
def test_effort(client: httpx.Client, chosen: dict[str, object], steps: int) -> None:
    assert recommend(client, history=["camera"], **chosen)["reasoning_steps"] == steps


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, {"lens", "tripod", "frame", "rug/red", "vase", "bag"}),
        ({"available_only": False}, {"lens", "tripod", "frame", "lamp", "rug/red", "vase", "bag"}),
        ({"include_items": ["lens", "bag", "ghost"]}, {"lens", "bag"}),
        ({"include_items": []}, set()),
        ({"exclude_items": ["lens", "ghost"]}, {"tripod", "frame", "rug/red", "vase", "bag"}),
        ({"categories": {"any": ["Lenses", "Supports"]}}, {"lens", "tripod"}),
        ({"categories": {"all": ["Photo", "Lenses"]}}, {"lens"}),
        ({"categories": {"none": ["Photo", "Ghosts"]}}, {"frame", "rug/red", "vase"}),
        ({"categories": {"any": []}}, set()),
    ],
)
@pytest.mark.parametrize("history", [["camera"], ["ghost"]])
def test_filters_hold(
    client: httpx.Client, history: list[str], wanted: dict[str, object], expected: set[str]
) -> None:
    answer = recommend(client, history=history, filter=wanted, count=20)
    assert set(ids(answer)) - {"camera"} == expected


def test_seen_items_come_back_on_request(client: httpx.Client) -> None:
    assert "camera" not in ids(recommend(client, history=["camera"]))
    back = recommend(client, history=["camera"], exclude_seen=False)
    (camera,) = (item for item in back["items"] if item["item_id"] == "camera")
    assert camera["reasons"][0]["kind"] == "repeat"
    assert camera["reasons"][0]["text"] == "is in the history already"


def test_diversity_gives_as_many_items(client: httpx.Client) -> None:
    answer = recommend(client, history=["camera"], count=4, diversity=0.7)
    assert len(set(ids(answer))) == 4
    assert ids(answer)[0] == "lens"


def test_properties_on_request(client: httpx.Client) -> None:
    only_frame = {"include_items": ["frame"]}
    plain = recommend(client, history=["camera"], filter=only_frame)
    assert plain["items"][0]["properties"] is None
    full = recommend(client, history=["camera"], filter=only_frame, include_properties=True)
    assert full["items"][0]["properties"]["properties"] == {"price": 12}
    assert full["items"][0]["properties"]["title"] == "Frame"


@pytest.mark.parametrize(
    "body",
    [
        {"count": 0},
        {"count": 101},
        {"effort": "extreme"},
        {"user_id": "a\nb"},
        {"user_id": ""},
        {"user_id": "u" * 257},
        {"surprise": 1},
        {"filter": {"categories": {"some": []}}},
        {"history": [{"item_id": "camera", "timestamp": "yesterday"}]},
        {"diversity": 1.5},
        [],
    ],
)
def test_wrong_requests_are_refused_with_reasons(client: httpx.Client, body: object) -> None:
    response = client.post("/recommend", json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"]


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "redis+cluster://127.0.0.1:1"])
def test_without_redis_the_answer_is_degraded(shop: Bundle, url: str) -> None:
    with running_shop(shop, url, redis_timeout=0.2) as client:
        stored = recommend(client, user_id="u", count=2)
        assert stored["degraded"]
        assert ids(stored) == ["bag", "vase"]
        inline = recommend(client, history=["camera"], count=1)
        assert inline["degraded"]
        assert ids(inline) == ["lens"]
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["errors"][0]["message"] == "the history store does not answer"
        assert client.get("/livez").status_code == 200
        refused = client.post("/events", json={"events": [{"user_id": "u", "item_id": "lens"}]})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert "streamrec_redis_errors_total" in client.get("/metrics").text


def test_a_deadline_holds_although_redis_hangs(shop: Bundle) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        with running_shop(shop, url, redis_timeout=6) as client:
            body = {"user_id": "u", "count": 2, "deadline_ms": 50}
            answer = client.post("/recommend", json=body, timeout=5).json()
            assert answer["degraded"]
            assert ids(answer) == ["bag", "vase"]
            inline = {"history": ["camera"], "count": 1, "deadline_ms": 50}
            assert ids(client.post("/recommend", json=inline, timeout=5).json()) == ["lens"]
