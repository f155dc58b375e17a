"""The online report: recommendations and clicks by model version and effort."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from model_export.contract.bundle import Bundle
from tests.service.conftest import running_shop


@pytest.fixture
def client(shop: Bundle, redis_url: str) -> Iterator[httpx.Client]:
    """A service of its own, whose counters begin at 0."""
    with running_shop(shop, redis_url, event_weights="impression=0") as client:
        yield client


def recommend(client: httpx.Client, **body: object) -> dict[str, object]:
    return client.post("/recommend", json={"history": ["camera"], "count": 3, **body}).json()


def click(client: httpx.Client, answer: dict[str, object], item: str, **more: object) -> None:
    event = {
        "user_id": "c", "item_id": item, "recommendation_id": answer["recommendation_id"], **more,
    }  # fmt: skip
    sent = client.post("/events", json={"events": [event]})
    assert sent.json()["accepted"] == 1


def counted(client: httpx.Client, what: str) -> dict[str, float]:
    """Values by effort, all of the one model version."""
    head = f"streamrec_{what}_total{{"
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(head)]
    assert all('model_version="shop-1"' in line for line in lines)
    return {line.split('effort="')[1].split('"')[0]: float(line.split()[-1]) for line in lines}


def test_a_click_counts_once_for_the_answer_that_it_names(client: httpx.Client) -> None:
    deep, fast = recommend(client, effort="deep"), recommend(client, effort="fast")
    recommend(client, reasoning_steps=1)
    recommend(client, history=[])
    assert counted(client, "recommendations") == {"deep": 1, "fast": 1, "steps": 1, "popular": 1}
    assert counted(client, "clicks") == {}
    for item in ("lens", "lens", "tripod"):
        click(client, deep, item)
    click(client, fast, "lens")
    assert counted(client, "clicks") == {"deep": 2, "fast": 1}


def test_what_is_no_click_is_still_stored(client: httpx.Client) -> None:
    answer = recommend(client)
    click(client, {"recommendation_id": "made-elsewhere"}, "lens")
    click(client, answer, "vase")  # not among the three recommended
    click(client, answer, "lens", event_type="impression")
    assert counted(client, "clicks") == {}
    click(client, answer, "lens", event_type="purchase")
    assert counted(client, "clicks") == {"balanced": 1}


def test_a_repeated_event_is_counted_once(client: httpx.Client) -> None:
    answer = recommend(client)
    click(client, answer, "lens", event_id="c-once")
    event = {
        "event_id": "c-once", "user_id": "c", "item_id": "lens",
        "recommendation_id": answer["recommendation_id"],
    }  # fmt: skip
    again = client.post("/events", json={"events": [event]}).json()
    assert again["duplicates"] == 1
    assert counted(client, "clicks") == {"balanced": 1}


def test_no_label_holds_a_user_or_an_item(client: httpx.Client) -> None:
    click(client, recommend(client, user_id="secret-user"), "lens")
    text = client.get("/metrics").text
    assert "secret-user" not in text
    assert "lens" not in text
