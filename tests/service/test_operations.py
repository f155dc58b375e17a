"""Probes, metrics, items, and the OpenAPI document."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families


def test_probes(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {
        "status": "ready",
        "model_version": "shop-1",
        "problems": [],
    }


def test_metrics_count_every_outcome_and_name_nobody(client: httpx.Client) -> None:
    client.post("/recommend", json={"user_id": "secret-user"})
    client.post("/events", json={"events": [{"user_id": "secret-user", "item_id": "lens"}, 1]})
    client.get("/users/secret-user/history")
    client.get("/items/secret-item")
    text = client.get("/metrics").text
    assert "secret" not in text
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {
        "http_server_request_duration_seconds",
        "streamrec_stage_duration_seconds",
        "streamrec_fallback",
        "streamrec_events",
        "streamrec_queue_depth",
        "streamrec_rejected",
        "streamrec_model_info",
        "streamrec_redis_errors",
        "streamrec_reasoning_steps",
    } <= names
    for method, route, status in (
        ("POST", "/recommend", "200"),
        ("GET", "/items/{item_id}", "404"),
    ):
        labels = f'method="{method}",route="{route}",status="{status}"'
        assert f"http_server_request_duration_seconds_count{{{labels}}}" in text
    assert 'streamrec_model_info{version="shop-1"} 1.0' in text


def test_an_item(client: httpx.Client) -> None:
    item = client.get("/items/rug%2Fred").json()
    assert item["item_id"] == "rug/red"
    assert item["categories"] == ["Home"]


def test_similar_items_are_available_and_not_the_item_itself(client: httpx.Client) -> None:
    answer = client.get("/items/rug%2Fred/similar?count=20").json()
    found = [item["item_id"] for item in answer["items"]]
    assert len(found) == 6
    assert not {"rug/red", "lamp"} & set(found)
    assert len(client.get("/items/lens/similar?count=2").json()["items"]) == 2


def test_the_openapi_document_is_complete(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["paths"].keys() == {
        "/recommend",
        "/explain",
        "/explain/{recommendation_id}",
        "/events",
        "/items",
        "/items/{item_id}",
        "/items/{item_id}/similar",
        "/popular",
        "/users/{user_id}",
        "/users/{user_id}/history",
        "/admin/reload",
        "/livez",
        "/readyz",
        "/metrics",
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert list(response["content"]) == ["application/problem+json"], path
    assert "HTTPValidationError" not in document["components"]["schemas"]
