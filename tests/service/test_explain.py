"""Explanations of the hand-made shop."""

from __future__ import annotations

import time

import httpx

from model_export.contract.bundle import Bundle
from tests.service.conftest import running_shop


def test_the_explanation_is_that_of_the_answer(client: httpx.Client) -> None:
    answer = client.post("/recommend", json={"history": ["camera", "ghost"], "count": 2}).json()
    response = client.get(f"/explain/{answer['recommendation_id']}")
    assert response.status_code == 200
    explanation = response.json()
    assert explanation["recommendation_id"] == answer["recommendation_id"]
    assert explanation["model_version"] == answer["model_version"] == "shop-1"
    assert explanation["history"] == [{"item_id": "camera", "title": "Camera", "influence": None}]
    assert [item["item_id"] for item in explanation["items"]] == ["lens", "tripod"]
    assert [item["reasons"] for item in explanation["items"]] == [
        item["reasons"] for item in answer["items"]
    ]
    assert explanation["items"][0]["ranks_by_step"] == [1, 1, 1]
    impression, first, last = explanation["steps"]
    assert impression["written"] is None
    assert first["written"] == {"level": 0, "code": 1, "label": "home", "probability": 0.5}
    assert first["runners_up"][0]["label"] == "c"
    assert [item["previous_rank"] for item in first["top_items"]] == [2, 1]
    assert first["attended"] == [{"item_id": "camera", "title": "Camera", "share": 1.0}]
    assert last["distance_to_final"] == 0
    assert explanation["summary"] == (
        "After 2 steps of thinking, everything rests on the only item of the history."
    )


def test_what_mattered_is_named_and_what_did_not_is_not(client: httpx.Client) -> None:
    explanation = client.post("/explain", json={"history": ["vase", "camera"], "count": 1}).json()
    vase, camera = explanation["history"]
    assert vase["influence"] == 0 < camera["influence"]
    assert explanation["summary"].endswith("rests most on “Camera”.")
    lens = explanation["items"][0]
    assert lens["item_id"] == "lens"
    assert lens["reasons"][0] == {
        "kind": "rests_on",
        "text": "rests most on “Camera”",
        "item_ids": ["camera"],
    }
    assert [entry["rank_without"] for entry in lens["influences"]] == [1, 3]
    assert "Without “Camera” it would be at rank 3." in lens["summary"]
    step = explanation["steps"][1]
    assert step["summary"] == "Step 1 settled on home (50%); “Lens” moves from rank 2 to the top."
    assert [entry["on_code"] for entry in step["influences"]] == [0, 0]


def test_the_same_items_compete_when_influence_is_measured_later(client: httpx.Client) -> None:
    body = {
        "history": ["frame", "camera"],
        "count": 2,
        "exclude_seen": False,
        "filter": {"exclude_items": ["tripod"], "available_only": False},
    }
    posted = client.post("/explain", json=body).json()
    assert client.get(f"/explain/{posted['recommendation_id']}").json() == posted
    assert {item["item_id"] for item in posted["items"]} == {"camera", "lens"}


def test_post_explain_and_explain_true_agree(client: httpx.Client) -> None:
    body = {"history": ["lens"], "count": 3, "effort": "deep"}
    posted = client.post("/explain", json=body).json()
    inline = client.post("/recommend", json={**body, "explain": True}).json()["explanation"]
    changing = {"recommendation_id", "created_at"}
    assert {key: posted[key] for key in posted.keys() - changing} == {
        key: inline[key] for key in inline.keys() - changing
    }
    assert client.get(f"/explain/{posted['recommendation_id']}").json() == posted


def test_a_popular_answer_is_explained_as_such(client: httpx.Client) -> None:
    explanation = client.post("/explain", json={}).json()
    assert explanation["steps"] == []
    assert explanation["items"][0]["reasons"][0]["text"] == "popular with everyone"


def test_an_unknown_recommendation_is_a_clear_404(client: httpx.Client) -> None:
    response = client.get("/explain/never-made")
    assert response.status_code == 404
    assert "expire" in response.json()["detail"]


def test_another_model_version_does_not_explain_it(
    client: httpx.Client, shop: Bundle, redis_url: str
) -> None:
    made = client.post("/recommend", json={"history": ["lens"]}).json()["recommendation_id"]
    newer = Bundle(shop.path, shop.manifest.model_copy(update={"model_version": "shop-2"}))
    with running_shop(newer, redis_url) as other:
        response = other.get(f"/explain/{made}")
    assert response.status_code == 404
    assert "shop-1" in response.json()["detail"]


def test_an_explanation_expires_with_a_problem_that_says_so(shop: Bundle, redis_url: str) -> None:
    with running_shop(shop, redis_url, explanation_ttl=1) as client:
        answer = client.post("/recommend", json={"history": ["camera"]}).json()
        path = f"/explain/{answer['recommendation_id']}"
        while (response := client.get(path)).status_code == 200:
            time.sleep(0.1)
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"
        assert "expire" in response.json()["detail"]
        browser = client.get(path, headers={"accept": "text/html"})
        assert browser.status_code == 200  # the page, which asks for the answer and tells
        assert browser.headers["content-type"].startswith("text/html")
