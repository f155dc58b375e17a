"""Changing the catalogue while the service runs. What is acknowledged is stored and takes effect at once."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from model_export.contract.catalog import Item
from service.api.deps import Service
from service.api.errors import problems
from service.api.item_bodies import ItemPatch, NewItem, check_together
from service.api.schemas import ItemDocument
from service.api.types import PathId
from service.errors import NotFoundError
from service.live.changes import Change, changed, patched, without_nulls
from service.state import ServiceState

router = APIRouter(prefix="/items", tags=["items"])

_CREATED: dict[int | str, dict[str, Any]] = {
    201: {"model": ItemDocument, "description": "The catalogue did not have it before."}
}


@router.put("/{item_id}", responses={**_CREATED, **problems(409, 503)})
async def put_item(
    item_id: PathId, body: NewItem, service: Service, response: Response
) -> ItemDocument:
    """Add an item, or replace what is known of it.

    A new item is placed by its text and can be recommended at once; all workers and replicas follow
    within two seconds. An item that was trained on keeps its place, whatever is written about it now.
    """
    base = _trained(service, item_id)
    new = False
    values = body.model_dump(exclude_defaults=True)
    if "properties" in values:
        values["properties"] = without_nulls(values["properties"])

    def decide(before: Change | None) -> Change:
        nonlocal new
        new = changed(item_id, base, before) is None
        return Change("put", values)

    await service.live.change(service.model, item_id, decide)
    if new:
        response.status_code = 201
    return ItemDocument.of(Item.model_validate({"item_id": item_id, **values}))


@router.patch("/{item_id}", responses=problems(404, 409, 503))
async def patch_item(item_id: PathId, body: ItemPatch, service: Service) -> ItemDocument:
    """Change what is given of an item, such as its availability, and leave the rest."""
    base = _trained(service, item_id)
    after: Item | None = None

    def decide(before: Change | None) -> Change:
        nonlocal after
        item = changed(item_id, base, before)
        if item is None:
            raise NotFoundError("the catalogue has no such item")
        values = _each_property(item, body.values())
        after = patched(item, values)
        if base and (before is None or before.kind == "patch"):
            change = Change("patch", _joined(base, before.values if before else {}, values))
        else:
            change = Change("put", after.model_dump(exclude={"item_id"}, exclude_defaults=True))
        check_together(without_nulls(change.values.get("properties", {})))
        return change

    await service.live.change(service.model, item_id, decide)
    assert after
    return ItemDocument.of(after)


@router.delete("/{item_id}", status_code=204, responses=problems(404, 409, 503))
async def delete_item(item_id: PathId, service: Service) -> None:
    """Take an item out of the catalogue: it is not recommended, found or shown any more.

    Events of it stay in histories, and count again if it is put back.
    """
    base = _trained(service, item_id)

    def decide(before: Change | None) -> Change | None:
        if changed(item_id, base, before) is None:
            raise NotFoundError("the catalogue has no such item")
        return Change("deleted", {}) if base else None

    await service.live.change(service.model, item_id, decide)


def _trained(service: ServiceState, item_id: str) -> Item | None:
    """The item as the bundle knows it."""
    catalog = service.model.bundle.catalog
    row = catalog.row(item_id)
    return None if row is None else catalog[row]


def _each_property(item: Item, values: dict[str, Any]) -> dict[str, Any]:
    """The same patch, where null for all properties is null for each of them."""
    if values.get("properties", {}) is not None:
        return values
    return values | {"properties": dict.fromkeys(item.properties)}


def _joined(base: Item, before: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """One patch that does to an item what two do."""
    properties = before.get("properties", {}) | values.get("properties", {})
    needed = {
        name: value
        for name, value in properties.items()
        if value is not None or name in base.properties
    }
    return {**before, **values, **({"properties": needed} if properties else {})}
