"""The catalogue: items, and items like them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query

from service.api.deps import Model
from service.api.errors import problems
from service.api.item_bodies import PopularItem, PopularItems
from service.api.schemas import (
    MAX_COUNT,
    FoundItems,
    ItemDocument,
    ItemFilter,
    SimilarItem,
    SimilarItems,
)
from service.api.types import PathId
from service.errors import NotFoundError
from service.snapshot import Snapshot

router = APIRouter(prefix="/items", tags=["items"])


@router.get("", responses=problems())
def search_items(
    model: Model,
    query: Annotated[
        str,
        Query(
            max_length=256,
            description="Words, or beginnings of words, that an item must all have; "
            "none finds the most popular items.",
            examples=["canon cam"],
        ),
    ] = "",
    limit: Annotated[
        int, Query(ge=1, le=MAX_COUNT, description="Items wanted.", examples=[20])
    ] = 20,
) -> FoundItems:
    """Items by words of their title, id, brand and categories, the most popular first."""
    items = model.items
    found = items.search.find(query, limit)
    return FoundItems(items=[ItemDocument.of(items.catalog[row]) for row in found])


popular = APIRouter(tags=["items"])


@popular.get("/popular", responses=problems())
def popular_items(
    model: Model,
    category: Annotated[
        str | None,
        Query(max_length=256, description="Only items of this category.", examples=["Cameras"]),
    ] = None,
    count: Annotated[
        int, Query(ge=1, le=MAX_COUNT, description="Items wanted.", examples=[10])
    ] = 10,
) -> PopularItems:
    """The available items that people used most, in training and since."""
    items = model.items
    categories = {} if category is None else {"any": [category]}
    wanted = ItemFilter.model_validate({"categories": categories})
    allowed = items.filters.allowed(wanted, ())
    rows = items.popular[allowed[items.popular]][:count].tolist()
    return PopularItems(
        items=[
            PopularItem(
                item_id=items.catalog[row].item_id,
                rank=rank,
                interactions=int(items.popularity[row]),
                title=items.catalog[row].title,
            )
            for rank, row in enumerate(rows, start=1)
        ],
        unknown_categories=items.filters.unknown_categories(wanted.categories),
    )


@router.get("/{item_id}/similar", responses=problems(404))
def similar_items(
    item_id: PathId,
    model: Model,
    count: Annotated[
        int, Query(ge=1, le=MAX_COUNT, description="Items wanted.", examples=[10])
    ] = 10,
) -> SimilarItems:
    """The available items whose vectors are nearest."""
    items = model.items
    row = _row(items, item_id)
    scores = items.vectors @ items.vectors[row]
    scores[row] = -np.inf
    scores[~items.filters.available] = -np.inf
    few = np.argpartition(-scores, min(count, len(scores) - 1))[:count]
    nearest = few[np.argsort(-scores[few], kind="stable")]
    catalog = items.catalog
    return SimilarItems(
        item_id=item_id,
        items=[
            SimilarItem(
                item_id=catalog[like].item_id,
                rank=rank,
                score=round(float(scores[like]), 5),
                title=catalog[like].title,
            )
            for rank, like in enumerate(nearest, start=1)
            if np.isfinite(scores[like])
        ],
    )


@router.get("/{item_id}", responses=problems(404))
async def item(item_id: PathId, model: Model) -> ItemDocument:
    """One item as the catalogue knows it."""
    return ItemDocument.of(model.items.catalog[_row(model.items, item_id)])


def _row(items: Snapshot, item_id: str) -> int:
    row = items.catalog.row(item_id)
    if row is None:
        raise NotFoundError("the catalogue has no such item")
    return row
