"""Bodies of requests and answers of the recommendation, event, item and user routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from typing_extensions import TypedDict

from model_export.contract.catalog import Item
from model_export.contract.config import Effort
from service.api.explanation import (
    Explanation,
    ModelVersion,
    Rank,
    Reason,
    RecommendationId,
    Score,
    Steps,
)
from service.api.types import WHOLE, Id, ShownId, Time

MAX_COUNT = 100
MAX_HISTORY = 10_000
MAX_EVENTS = 1_000
MAX_LISTED = 10_000


class Body(BaseModel):
    """A request body in which an unknown field, or a value of another type, is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


EventType = Annotated[str, Field(min_length=1, max_length=64, examples=["purchase"])]


class HistoryEntry(Body):
    """One event of an inline history."""

    item_id: Id
    timestamp: Time | None = Field(
        None, description="When it happened; where all have one, they are read in this order."
    )
    event_type: EventType | None = Field(None, description="Weighs as in a stored history.")


class CategoryFilter(Body):
    """Conditions on an item's categories; all that are given must hold."""

    any: list[str] | None = Field(
        None, max_length=MAX_LISTED, description="At least one of these.", examples=[["Cameras"]]
    )
    all: list[str] = Field(
        [], max_length=MAX_LISTED, description="Every one of these.", examples=[["Photo", "Used"]]
    )
    none: list[str] = Field(
        [], max_length=MAX_LISTED, description="None of these.", examples=[["Refurbished"]]
    )


class ItemFilter(Body):
    """Which items may be recommended. It is never broken: too few items give a short answer."""

    include_items: list[Id] | None = Field(
        None,
        max_length=MAX_LISTED,
        description="Only these items; everything if not given.",
        examples=[["camera-017", "camera-021"]],
    )
    exclude_items: list[Id] = Field(
        [], max_length=MAX_LISTED, description="None of these items.", examples=[["lens-004"]]
    )
    categories: CategoryFilter = Field(
        default_factory=lambda: CategoryFilter.model_validate({}),
        description="Conditions on the categories of an item.",
    )
    available_only: bool = Field(True, description="Only items that are available.")


class RecommendRequest(Body):
    """Who asks, for how much, and under which conditions."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": "u-1", "count": 5, "effort": "deep"},
                {"history": ["camera-017", "lens-004"], "count": 5},
            ]
        }
    )

    user_id: Id | None = Field(
        None,
        description="Whose stored history to use; an unknown user gets popular items.",
        examples=["u-1"],
    )
    history: list[Id | HistoryEntry] | None = Field(
        None,
        max_length=MAX_HISTORY,
        description="History of this session, oldest first; used in place of the stored one.",
        examples=[["camera-017", "lens-004"]],
    )
    count: Annotated[int, Field(ge=1, le=MAX_COUNT), WHOLE] = Field(
        10, description="Items wanted.", examples=[5]
    )
    effort: Effort = Field("balanced", description="How long to think.", examples=["deep"])
    reasoning_steps: Annotated[int, Field(ge=0, le=64), WHOLE] | None = Field(
        None,
        description="Number of steps, whatever `effort` says; capped at the model's limit.",
        examples=[2],
    )
    deadline_ms: Annotated[int, Field(ge=1, le=60_000), WHOLE] | None = Field(
        None,
        description="When this time nears, the best ranking so far is the answer. A history store "
        "that is slower leaves out the stored history (`degraded`).",
        examples=[50],
    )
    exclude_seen: bool = Field(True, description="Leave out the items of the history.")
    filter: ItemFilter = Field(
        default_factory=lambda: ItemFilter.model_validate({}),
        description="Which items may be recommended.",
    )
    diversity: float = Field(
        0.0,
        ge=0,
        le=1,
        description="0 ranks by score alone; towards 1 alike items make way.",
        examples=[0.3],
    )
    include_properties: bool = Field(False, description="Return what the catalogue knows of items.")
    explain: bool = Field(False, description="Return the explanation with the answer.")

    @property
    def inline_history(self) -> list[HistoryEntry] | None:
        """The inline history, oldest first: by time where every entry has one."""
        if self.history is None:
            return None
        entries = [
            e if isinstance(e, HistoryEntry) else HistoryEntry(item_id=e) for e in self.history
        ]
        times = [entry.timestamp for entry in entries if entry.timestamp is not None]
        if len(times) == len(entries):
            entries = [entries[place] for place in sorted(range(len(times)), key=times.__getitem__)]
        return entries


class ItemProperties(BaseModel):
    """What the catalogue knows of an item."""

    title: str | None = Field(description="What people read.", examples=["Canon EOS R50"])
    categories: list[str] = Field(
        description="What filters look at.", examples=[["Cameras", "Mirrorless"]]
    )
    brand: str | None = Field(description="Who makes it.", examples=["Canon"])
    description: str | None = Field(
        description="More about it.", examples=["A small camera for travel."]
    )
    available: bool = Field(description="Whether it can be recommended now.")
    properties: dict[str, Any] = Field(
        description="Every other column of the catalogue.", examples=[{"price": 649}]
    )

    @classmethod
    def of(cls, item: Item) -> Self:
        """What is shown of an item."""
        return cls.model_validate(item.model_dump())


class ItemDocument(ItemProperties):
    """One item of the catalogue."""

    item_id: ShownId


class FoundItems(BaseModel):
    """What a search found, best first."""

    items: list[ItemDocument] = Field(description="The items, best first.")


class SimilarItem(BaseModel):
    """An item and how alike it is."""

    item_id: ShownId
    rank: Rank
    score: float = Field(description="Cosine of the two item vectors.", examples=[0.71])
    title: str | None = Field(description="What people read.", examples=["50mm lens"])


class SimilarItems(BaseModel):
    """Items like the one that was asked for, most alike first."""

    item_id: ShownId
    items: list[SimilarItem] = Field(description="The others, most alike first.")


# An answer is a plain dictionary: pydantic describes and writes it, but need not check what was
# just made, which takes longer than to write it.
class RecommendedItem(TypedDict):
    """One recommended item."""

    item_id: ShownId
    rank: Rank
    score: Score
    reasons: Annotated[
        list[Reason], Field(description="Why it is there, the strongest kind first.")
    ]
    properties: Annotated[
        ItemProperties | None, Field(description="If `include_properties` was set.")
    ]


class Recommendation(TypedDict):
    """The answer to a recommendation request."""

    recommendation_id: RecommendationId
    items: Annotated[
        list[RecommendedItem],
        Field(description="Best first; fewer than wanted where fewer are allowed."),
    ]
    model_version: ModelVersion
    reasoning_steps: Steps
    degraded: Annotated[
        bool,
        Field(
            description="True where the history store failed: the stored history was not used, or the "
            "answer cannot be explained later."
        ),
    ]
    unknown_items: Annotated[
        list[str],
        Field(
            description="Items of the history and of the filter that the catalogue lacks; they were "
            "ignored.",
            examples=[["camera-000"]],
        ),
    ]
    unknown_categories: Annotated[
        list[str],
        Field(
            description="Categories of the filter that no item of the catalogue has.",
            examples=[["Camera"]],
        ),
    ]
    took_ms: Annotated[
        float, Field(ge=0, description="Milliseconds inside the service.", examples=[7.4])
    ]
    explanation: Annotated[Explanation | None, Field(description="If `explain` was set.")]


class Event(Body):
    """Something that a user did with an item."""

    event_id: Id | None = Field(
        None, description="Makes sending again safe: one id is stored once.", examples=["e-81c2"]
    )
    user_id: Id = Field(description="Who did it.", examples=["u-1"])
    item_id: Id
    timestamp: Time | None = Field(None, description="When it happened; now if not given.")
    event_type: EventType | None = Field(
        None, description="What was done; the settings say how much it counts."
    )
    recommendation_id: Id | None = Field(
        None,
        description="The recommendation that led to it: a click in the metrics, once for each of its "
        "items while it is recorded.",
        examples=["5f0c1e6a9b3d4c7e8f10a2b3"],
    )


class EventBatch(Body):
    """Events in the order in which they happened."""

    @model_validator(mode="before")
    @classmethod
    def _is_a_batch(cls, given: object) -> object:
        if isinstance(given, dict) and "events" not in given:
            raise ValueError(
                'send a batch, even of one: {"events": [{"user_id": "u-1", "item_id": "camera-017"}]}'
            )
        return given

    events: list[Annotated[Event | JsonValue, Field(union_mode="left_to_right")]] = Field(
        min_length=1,
        max_length=MAX_EVENTS,
        description="Each event is checked on its own: a wrong one is rejected, the others stored.",
        examples=[[{"event_id": "e-81c2", "user_id": "u-1", "item_id": "camera-017"}]],
    )


class RejectedEvent(BaseModel):
    """An event that was not stored."""

    index: int = Field(ge=0, description="Its place in the batch.", examples=[2])
    problem: str = Field(description="What is wrong.", examples=["item_id: Field required"])


class EventsReceipt(BaseModel):
    """What became of a batch. Accepted events are stored."""

    accepted: int = Field(ge=0, description="Stored now.", examples=[3])
    duplicates: int = Field(
        ge=0, description="Stored before under the same event_id.", examples=[1]
    )
    rejected: list[RejectedEvent] = Field(description="What was not stored, and why.")
    unknown_items: list[str] = Field(
        description="Items of the other events that the catalogue lacks; recommendations ignore them "
        "until it has them.",
        examples=[["camera-000"]],
    )


class StoredEvent(BaseModel):
    """One event of a stored history."""

    item_id: ShownId
    timestamp: datetime = Field(description="When it happened.", examples=["2026-03-01T12:00:00Z"])
    event_type: str | None = Field(description="What was done.", examples=["purchase"])
    known: bool = Field(description="Whether the catalogue has the item.")
    weight: float = Field(
        ge=0, description="How much it counts; 0 is kept beside the history.", examples=[3.0]
    )


class UserHistory(BaseModel):
    """What is stored of a user, oldest first; empty for an unknown user."""

    user_id: ShownId
    events: list[StoredEvent] = Field(description="Oldest first.")


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = Field("alive", description="Always this.")


class Ready(BaseModel):
    """The service can take traffic."""

    status: Literal["ready"] = Field("ready", description="Always this.")
    model_version: ModelVersion
    problems: list[str] = Field(
        [], description="What went wrong without stopping the service.", examples=[[]]
    )
