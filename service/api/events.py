"""Events: what users do, acknowledged once stored."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.deps import Service
from service.api.errors import problems
from service.api.schemas import EventBatch, EventsReceipt
from service.intake import take_in

router = APIRouter(tags=["events"])


@router.post("/events", status_code=202, responses=problems(503))
async def add_events(batch: EventBatch, service: Service) -> EventsReceipt:
    """Store events. What is accepted is stored, and the next recommendation uses it.

    After a 503 some events may have been stored: send the same batch again. Events with an
    `event_id` are then stored once.
    """
    return await take_in(batch.events, service)
