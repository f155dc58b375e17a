"""Bodies with which items are put, changed and listed."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, Field, JsonValue, TypeAdapter, ValidationError

from service.api.schemas import Body
from service.api.types import ShownId

_MAX_CATEGORIES = 100
_MAX_PROPERTIES = 200
_MAX_PROPERTY_BYTES = 65_536

Title = Annotated[str, Field(min_length=1, max_length=1_000)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Text = Annotated[str, Field(min_length=1, max_length=20_000)]


def _bounded(properties: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(json.dumps(properties).encode()) > _MAX_PROPERTY_BYTES:
        raise ValueError(f"Properties should have at most {_MAX_PROPERTY_BYTES:,} bytes as JSON")
    return properties


Properties = Annotated[
    dict[str, JsonValue], Field(max_length=_MAX_PROPERTIES), AfterValidator(_bounded)
]


class NewItem(Body):
    """Everything that is to be known of an item; what is left out is empty."""

    title: Title | None = Field(
        None, description="What people call it.", examples=["Canon EOS R50"]
    )
    categories: list[Name] = Field(
        [],
        max_length=_MAX_CATEGORIES,
        description="Where it belongs; filters ask for these.",
        examples=[["Cameras", "Mirrorless"]],
    )
    brand: Name | None = Field(None, description="Who makes it.", examples=["Canon"])
    description: Text | None = Field(
        None, description="Text about it.", examples=["A small camera for travel."]
    )
    available: bool = Field(
        True, description="Whether it can be had; if not, it is not recommended."
    )
    properties: Properties = Field(
        {},
        description="Anything else that is to be shown with it.",
        examples=[{"price": 649}],
    )


class ItemPatch(Body):
    """What changes of an item (JSON merge patch, RFC 7396); null takes a value away."""

    title: Title | None = Field(
        None, description="What people call it.", examples=["Canon EOS R50 Mark II"]
    )
    categories: list[Name] | None = Field(
        None,
        max_length=_MAX_CATEGORIES,
        description="All of its categories.",
        examples=[["Cameras"]],
    )
    brand: Name | None = Field(None, description="Who makes it.", examples=["Canon"])
    description: Text | None = Field(
        None, description="Text about it.", examples=["A small camera for travel."]
    )
    available: bool | None = Field(
        None, description="Whether it can be had; null means that it can.", examples=[False]
    )
    properties: Properties | None = Field(
        None,
        description="Properties to set; null takes one away, others stay.",
        examples=[{"price": 599, "colour": None}],
    )

    def values(self) -> dict[str, Any]:
        """The fields that were given."""
        return self.model_dump(exclude_unset=True)


def check_together(properties: dict[str, JsonValue]) -> None:
    """Hold properties that came by several patches to what one body may say.

    Raises:
        RequestValidationError: they are too many, or too large.
    """
    try:
        _TOGETHER.validate_python(properties)
    except ValidationError as error:
        problems = [
            found
            | {"loc": ("body", "properties"), "msg": f"{found['msg']}, with those stored before"}
            for found in error.errors()
        ]
        raise RequestValidationError(problems) from error


_TOGETHER: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(Properties)


class PopularItem(BaseModel):
    """An item and how often people used it."""

    item_id: ShownId
    rank: int = Field(ge=1, description="1 is the most popular.", examples=[1])
    interactions: int = Field(
        ge=0,
        description="Interactions in training, and events since, which fade over time.",
        examples=[1284],
    )
    title: str | None = Field(description="Its title, if it has one.", examples=["50mm lens"])


class PopularItems(BaseModel):
    """Available items, most popular first."""

    items: list[PopularItem] = Field(
        description="Fewer than were asked for where fewer are available.",
        examples=[[{"item_id": "lens-004", "rank": 1, "interactions": 1284, "title": "50mm lens"}]],
    )
    unknown_categories: list[str] = Field(
        description="The category that was asked for, where no item of the catalogue has it.",
        examples=[["Camera"]],
    )
