"""Users: their stored history, and its erasure."""

from __future__ import annotations

from datetime import UTC, datetime
from heapq import merge

from fastapi import APIRouter

from service.api.deps import Service
from service.api.errors import problems
from service.api.schemas import StoredEvent, UserHistory
from service.api.types import PathId

router = APIRouter(prefix="/users", tags=["users"])


@router.get("/{user_id}/history", responses=problems(503))
async def history(user_id: PathId, service: Service) -> UserHistory:
    """What is stored of a user, oldest first."""
    catalog = service.model.items.catalog
    history = await service.histories.read(user_id)
    beside = await service.histories.read(user_id, beside=True)
    return UserHistory(
        user_id=user_id,
        events=[
            StoredEvent(
                item_id=stored.item_id,
                timestamp=datetime.fromtimestamp(stored.at / 1000, UTC),
                event_type=stored.event_type,
                known=catalog.row(stored.item_id) is not None,
                weight=service.weights.of(stored.event_type),
            )
            for stored in merge(history, beside, key=lambda stored: stored.at)
        ],
    )


@router.delete("/{user_id}", status_code=204, responses=problems(503))
async def erase(user_id: PathId, service: Service) -> None:
    """Forget a user: history, event ids and recorded recommendations.

    Events that still wait in an event stream are taken in later; erase again then.
    """
    await service.recommendations.erase(user_id)
    await service.histories.erase(user_id)
