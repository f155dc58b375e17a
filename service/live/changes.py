"""One change of an item, as it is stored, and what it makes of the item that a bundle knows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

import structlog
from pydantic import ValidationError

from model_export.contract.catalog import Item
from model_export.contract.validation import problems_of

Kind = Literal["put", "patch", "deleted"]

log = structlog.get_logger("streamrec.live")


@dataclass(frozen=True)
class Change:
    """What is known of an item beside the bundle.

    Attributes:
        kind: `put` says everything of an item, `patch` only what differs from the bundle's, and
            `deleted` that the bundle's item is no more.
        values: fields of the item.
    """

    kind: Kind
    values: dict[str, Any]

    def dump(self) -> bytes:
        """As it is stored."""
        return json.dumps([self.kind, self.values], ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def load(cls, stored: bytes) -> Change:
        """From what `dump` gave.

        Raises:
            ValueError: it is nothing of the kind.
        """
        kind, values = json.loads(stored)
        if kind not in get_args(Kind) or not isinstance(values, dict):
            raise ValueError(f"{kind!r:.40} is no kind of change")
        return cls(kind, values)


def changed(item_id: str, base: Item | None, change: Change | None) -> Item | None:
    """The item as it is now, or None where there is none.

    A change that makes no item, as another version of the service may have stored it, is left out, and
    that is said.

    Args:
        item_id: its id.
        base: the item as the bundle knows it, None where it does not.
        change: what is known beside.
    """
    if change is None:
        return base
    try:
        if change.kind == "put":
            return Item.model_validate({**change.values, "item_id": item_id})
        if change.kind == "deleted" or base is None:
            return None
        return patched(base, change.values)
    except ValidationError as error:
        log.warning("a change is left out", item_id=item_id, reason=problems_of(error, Item))
        return base


def patched(item: Item, values: dict[str, Any]) -> Item:
    """An item with some fields replaced (JSON merge patch, RFC 7396): null takes a value away."""
    merged = item.model_dump()
    for name, value in values.items():
        if name == "properties" and isinstance(value, dict):
            merged[name] = without_nulls({**merged[name], **value})
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    return Item.model_validate(merged)


def without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """The entries that have a value."""
    return {name: value for name, value in values.items() if value is not None}
