"""POST /events, and what is stored of a user."""

from __future__ import annotations

import httpx
import pytest


def send(client: httpx.Client, *events: object) -> dict[str, object]:
    response = client.post("/events", json={"events": events})
    assert response.status_code == 202, response.text
    return response.json()


def stored(client: httpx.Client, user: str) -> list[dict[str, object]]:
    response = client.get(f"/users/{user}/history")
    assert response.status_code == 200
    return response.json()["events"]


def test_accepted_means_stored(client: httpx.Client) -> None:
    receipt = send(
        client,
        {"user_id": "e-1", "item_id": "lens", "timestamp": 1_700_000_000, "event_type": "view"},
        {"user_id": "e-1", "item_id": "ghost", "timestamp": "2026-01-01T00:00:00+02:00"},
    )
    assert receipt == {
        "accepted": 2,
        "duplicates": 0,
        "rejected": [],
        "unknown_items": ["ghost"],
    }
    assert stored(client, "e-1") == [
        {
            "item_id": "lens",
            "timestamp": "2023-11-14T22:13:20Z",
            "event_type": "view",
            "known": True,
            "weight": 1.0,
        },
        {
            "item_id": "ghost",
            "timestamp": "2025-12-31T22:00:00Z",
            "event_type": None,
            "known": False,
            "weight": 1.0,
        },
    ]


@pytest.mark.parametrize("body", [{"user_id": "e-1", "item_id": "lens"}, {}])
def test_what_is_no_batch_is_shown_one(client: httpx.Client, body: dict[str, str]) -> None:
    refused = client.post("/events", json=body)
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert error["location"] == "body"
    assert '{"events": [{"user_id": "u-1", "item_id": "camera-017"}]}' in error["message"]


def test_sending_again_stores_once(client: httpx.Client) -> None:
    event = {"event_id": "x", "user_id": "e-2", "item_id": "lens"}
    assert send(client, event)["accepted"] == 1
    again = send(client, event, event)
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 2, [])
    assert len(stored(client, "e-2")) == 1


def test_items_that_the_catalogue_lacks_are_stored_and_listed_once(client: httpx.Client) -> None:
    items = ("ghost", "lens", "spirit", "ghost")
    receipt = send(client, {"user_id": "e-9"}, *({"user_id": "e-9", "item_id": i} for i in items))
    assert receipt["accepted"] == 4
    assert receipt["unknown_items"] == ["ghost", "spirit"]
    assert [event["known"] for event in stored(client, "e-9")] == [False, True, False, False]


def test_a_wrong_event_is_rejected_alone(client: httpx.Client) -> None:
    receipt = send(
        client,
        {"user_id": "e-3"},
        {"user_id": "e-3", "item_id": "lens"},
        7,
        {"user_id": "e-3", "item_id": "lens", "surprise": 1},
        {"user_id": "e-3", "item_id": "lens", "timestamp": "0001-01-01T00:00:00+05:00"},
    )
    assert receipt["accepted"] == 1
    assert [rejected["index"] for rejected in receipt["rejected"]] == [0, 2, 3, 4]
    assert receipt["rejected"][0]["problem"] == "item_id: Field required"


@pytest.mark.parametrize("body", [{}, {"events": []}, {"events": "all"}, {"events": [{}] * 1001}])
def test_a_wrong_batch_is_refused(client: httpx.Client, body: object) -> None:
    assert client.post("/events", json=body).status_code == 422


def test_erasure_forgets_history_and_explanations(client: httpx.Client) -> None:
    send(client, {"event_id": "x", "user_id": "e/4", "item_id": "lens"})
    answer = client.post("/recommend", json={"user_id": "e/4"}).json()
    explained = f"/explain/{answer['recommendation_id']}"
    assert client.get(explained).status_code == 200
    assert client.delete("/users/e%2F4").status_code == 204
    assert stored(client, "e%2F4") == []
    assert client.get(explained).status_code == 404
    assert send(client, {"event_id": "x", "user_id": "e/4", "item_id": "lens"})["accepted"] == 1
