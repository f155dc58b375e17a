"""What the service answers, as the client gives it; the OpenAPI document describes every field.

Fields that a newer service adds are ignored.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class Reason(BaseModel):
    kind: str
    text: str
    item_ids: list[str]


class Properties(BaseModel):
    title: str | None
    categories: list[str]
    brand: str | None
    description: str | None
    available: bool
    properties: dict[str, Any]


class Item(Properties):
    item_id: str


class Items(BaseModel):
    items: list[Item]


class SimilarItem(BaseModel):
    item_id: str
    rank: int
    score: float
    title: str | None


class SimilarItems(BaseModel):
    item_id: str
    items: list[SimilarItem]


class PopularItem(BaseModel):
    item_id: str
    rank: int
    interactions: int
    title: str | None


class PopularItems(BaseModel):
    items: list[PopularItem]
    unknown_categories: list[str]


class NamedItem(BaseModel):
    item_id: str
    title: str


class HistoryItem(NamedItem):
    influence: float | None


class StepInfluence(NamedItem):
    on_ranking: float
    on_code: float | None


class ItemInfluence(NamedItem):
    influence: float
    rank_without: int


class AttendedItem(NamedItem):
    share: float


class MovedItem(NamedItem):
    rank: int
    previous_rank: int | None


class Code(BaseModel):
    level: int
    code: int
    label: str
    probability: float


class Step(BaseModel):
    step: int
    summary: str
    written: Code | None
    runners_up: list[Code]
    nearest_items: list[NamedItem]
    top_items: list[MovedItem]
    influences: list[StepInfluence]
    attended: list[AttendedItem]
    distance_to_final: float


class ExplainedItem(NamedItem):
    rank: int
    score: float
    ranks_by_step: list[int]
    summary: str
    influences: list[ItemInfluence]
    reasons: list[Reason]


class Explanation(BaseModel):
    recommendation_id: str
    model_version: str
    created_at: datetime
    reasoning_steps: int
    degraded: bool
    summary: str
    history: list[HistoryItem]
    steps: list[Step]
    items: list[ExplainedItem]


class RecommendedItem(BaseModel):
    item_id: str
    rank: int
    score: float
    reasons: list[Reason]
    properties: Properties | None


class Recommendation(BaseModel):
    recommendation_id: str
    items: list[RecommendedItem]
    model_version: str
    reasoning_steps: int
    degraded: bool
    unknown_items: list[str]
    unknown_categories: list[str]
    took_ms: float
    explanation: Explanation | None


class RejectedEvent(BaseModel):
    index: int
    problem: str


class Receipt(BaseModel):
    accepted: int
    duplicates: int
    rejected: list[RejectedEvent]
    unknown_items: list[str]


class StoredEvent(BaseModel):
    item_id: str
    timestamp: datetime
    event_type: str | None
    known: bool
    weight: float


class History(BaseModel):
    user_id: str
    events: list[StoredEvent]


class FieldError(BaseModel):
    location: str
    message: str


class Problem(BaseModel):
    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    request_id: str = ""
    errors: list[FieldError] = []
