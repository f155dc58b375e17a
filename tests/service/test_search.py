"""Searching the hand-made shop."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from model_export.contract.catalog import Catalog, Item
from service.search import CatalogSearch


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("cam", ["camera"]),
        ("LÉNS", ["lens"]),
        ("photo lens", ["lens"]),
        ("lumo", ["camera"]),
        ("red", ["rug/red"]),
        ("amera", []),
        ("camera ghost", []),
    ],
)
def test_every_word_begins_a_word_of_the_item(
    client: httpx.Client, query: str, found: list[str]
) -> None:
    answer = client.get("/items", params={"query": query}).json()
    assert [item["item_id"] for item in answer["items"]] == found


@pytest.mark.parametrize("query", ["", "   ", "!?"])
def test_without_words_the_most_popular_are_found(client: httpx.Client, query: str) -> None:
    answer = client.get("/items", params={"query": query, "limit": 2}).json()
    assert [item["item_id"] for item in answer["items"]] == ["lamp", "bag"]


def test_a_title_goes_before_a_category_and_then_the_popular_before_the_rest() -> None:
    catalog = Catalog(
        [
            Item(item_id="1", title="Strap", categories=["Cameras"]),
            Item(item_id="2", title="Camera, small"),
            Item(item_id="3", title="Camera, large"),
        ]
    )
    assert CatalogSearch(catalog, np.array([0, 2, 1])).find("camera", 9) == [2, 1, 0]


def test_limits(client: httpx.Client) -> None:
    assert client.get("/items?limit=0").status_code == 422
    assert client.get("/items", params={"query": "x" * 257}).status_code == 422
