"""The Python client against the real service, waiting and awaiting."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints

import httpx
import pytest
from pydantic import BaseModel

from model_export.contract.bundle import Bundle
from service.app import create_app
from service.settings import Settings
from streamrec import answers, client
from streamrec.client import AsyncClient, Client, Event, ProblemError, Question
from tests.blocked_imports import blocking, imported_by
from tests.service.conftest import redis_url, running, running_shop, tiny_bundle
from tests.service.conftest import shop as hand_made_shop

__all__ = ["hand_made_shop", "redis_url", "tiny_bundle"]


@pytest.fixture(scope="module")
def http(hand_made_shop: Bundle, redis_url: str) -> Iterator[httpx.Client]:
    with running_shop(hand_made_shop, redis_url) as running:
        yield running


@pytest.fixture
def shop(http: httpx.Client) -> Iterator[Client]:
    with Client(str(http.base_url)) as found:
        yield found


def test_from_an_event_to_an_explanation_and_erasure(shop: Client) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    event: Event = {"user_id": "p/1", "item_id": "camera", "timestamp": at, "event_id": "1"}
    receipt = shop.events(event, event, {"user_id": "p/1", "item_id": "\n"})
    assert (receipt.accepted, receipt.duplicates) == (1, 1)
    assert receipt.rejected[0].index == 2

    answer = shop.recommend(user_id="p/1", count=2, effort="deep", include_properties=True)
    assert [item.item_id for item in answer.items] == ["lens", "tripod"]
    assert answer.items[0].reasons[0].text == "often follows “Camera”"
    assert answer.items[0].properties is not None
    assert answer.items[0].properties.title == "Lens"
    explained = shop.explanation(answer.recommendation_id)
    assert len(explained.steps) == answer.reasoning_steps + 1 == 5
    assert [item.item_id for item in explained.items] == ["lens", "tripod"]

    assert [(seen.item_id, seen.timestamp) for seen in shop.history("p/1")] == [("camera", at)]
    shop.erase("p/1")
    assert shop.history("p/1") == []


def test_ids_that_look_like_steps_of_a_path(shop: Client) -> None:
    for user in (".", ".."):
        shop.events({"user_id": user, "item_id": "lens"})
        assert [seen.item_id for seen in shop.history(user)] == ["lens"]
        shop.erase(user)
        assert shop.history(user) == []


def test_a_history_of_its_own_and_filters(shop: Client) -> None:
    answer = shop.recommend(
        history=["lens", {"item_id": "camera", "event_type": "view"}],
        filter={"categories": {"any": ["Home"]}},
        explain=True,
    )
    assert {item.item_id for item in answer.items} == {"frame", "rug/red", "vase"}
    assert answer.explanation is not None
    assert shop.explain(history=["lens"], count=1).items[0].title == "Camera"


def test_the_catalogue(shop: Client) -> None:
    assert [item.title for item in shop.items("photo lens")] == ["Lens"]
    assert len(shop.items(limit=3)) == 3
    assert shop.item("rug/red").title == "Rug"
    assert "rug/red" not in {item.item_id for item in shop.similar("rug/red", count=3)}


def test_an_item_comes_changes_and_goes(tiny_bundle: Path, redis_url: str) -> None:
    given = {"bundle": tiny_bundle, "redis_url": redis_url, "redis_timeout": 5}
    with (
        running(create_app(Settings.model_validate(given))) as http,
        Client(str(http.base_url)) as shop,
    ):
        assert shop.put_item("new/1", title="Odd number", categories=["odd"]).title == "Odd number"
        assert shop.patch_item("new/1", available=False).available is False
        assert shop.item("new/1").categories == ["odd"]
        assert "new/1" not in {item.item_id for item in shop.popular("odd", count=40)}
        shop.delete_item("new/1")
        with pytest.raises(ProblemError, match="404"):
            shop.item("new/1")


def test_a_refusal_carries_the_problem(shop: Client) -> None:
    with pytest.raises(ProblemError, match="404 Nothing is known under this id") as refused:
        shop.item("ghost")
    assert refused.value.problem.instance == "/items/ghost"
    with pytest.raises(ProblemError) as refused:
        shop.recommend(count=0, diversity=2)
    assert {error.location for error in refused.value.problem.errors} == {
        "body.count", "body.diversity",
    }  # fmt: skip
    assert refused.value.problem.request_id


def test_it_says_when_to_try_again(hand_made_shop: Bundle) -> None:
    unreachable = "redis://127.0.0.1:1"
    with (
        running_shop(hand_made_shop, unreachable, redis_timeout=0.2) as http,
        Client(str(http.base_url)) as shop,
        pytest.raises(ProblemError) as refused,
    ):
        shop.events({"user_id": "u", "item_id": "lens"})
    assert refused.value.problem.status == 503
    assert refused.value.retry_after is not None


def test_many_at_once(http: httpx.Client) -> None:
    async def ask() -> list[answers.Recommendation]:
        async with AsyncClient(str(http.base_url)) as shop:
            with pytest.raises(ProblemError):
                await shop.item("ghost")
            await shop.events({"user_id": "p-2", "item_id": "camera"})
            assert [seen.item_id for seen in await shop.history("p-2")] == ["camera"]
            found = await asyncio.gather(*(shop.recommend(user_id="p-2") for _ in range(8)))
            assert len((await shop.explanation(found[0].recommendation_id)).items) == 6
            await shop.erase("p-2")
            return list(found)

    assert {item.items[0].item_id for item in asyncio.run(ask())} == {"lens"}


def test_both_clients_have_the_same_methods() -> None:
    def methods(of: type) -> dict[str, list[str]]:
        return {
            name: [str(p) for p in inspect.signature(method).parameters.values()]
            for name, method in inspect.getmembers(of, inspect.isfunction)
            if not name.startswith("_")
        }

    assert methods(Client) == methods(AsyncClient)


MODELS = {
    "Properties": "ItemProperties",
    "Item": "ItemDocument",
    "Items": "FoundItems",
    "Code": "WrittenCode",
    "Step": "ReasoningStep",
    "Receipt": "EventsReceipt",
    "History": "UserHistory",
}


def test_answers_and_questions_are_those_of_the_openapi_document(http: httpx.Client) -> None:
    schemas: dict[str, Any] = http.get("/openapi.json").json()["components"]["schemas"]

    def fields(name: str) -> set[str]:
        return set(schemas[name]["properties"])

    models = [
        model
        for model in vars(answers).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and model is not BaseModel
    ]
    assert len(models) > 20
    for model in models:
        assert set(model.model_fields) == fields(MODELS.get(model.__name__, model.__name__)), model
    assert set(get_type_hints(Question)) == fields("RecommendRequest")
    assert set(get_type_hints(Event)) == fields("Event")
    assert set(get_type_hints(client.ItemFields)) == fields("NewItem") == fields("ItemPatch")
    assert set(get_type_hints(client.Filter)) == fields("ItemFilter")
    assert set(get_type_hints(client.Categories)) == fields("CategoryFilter")
    assert set(get_type_hints(client.Seen)) == fields("HistoryEntry")
    effort = get_args(get_type_hints(Question)["effort"])
    assert list(effort) == schemas["RecommendRequest"]["properties"]["effort"]["enum"]


def test_without_httpx_it_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import streamrec.client"],
        env=os.environ | blocking(tmp_path, ["httpx"]),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "the client needs httpx" in done.stderr
    assert "pip install 'stream-rec[client]'" in done.stderr.splitlines()[-1]


def test_it_needs_nothing_of_the_service() -> None:
    heavy = {"torch", "fastapi", "numpy", "service", "training", "redis", "typer"}
    assert imported_by("streamrec.client", heavy) == set()
