"""Administration: needs an API key with the scope `admin`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from service.api.deps import Service
from service.api.errors import problems
from service.reload import Reloader

router = APIRouter(prefix="/admin", tags=["administration"])


class ReloadReceipt(BaseModel):
    """What became of a reload."""

    status: Literal["loaded", "unchanged"] = Field(
        description="`unchanged`: the bundle is the one in use already.", examples=["loaded"]
    )
    model_version: str = Field(description="In use now.", examples=["3fa9c2d41b07"])


async def _reloader(request: Request) -> Reloader:
    reloader: Reloader = request.app.state.reloader
    return reloader


@router.post("/reload", responses=problems(409))
async def reload(
    service: Service, reloader: Annotated[Reloader, Depends(_reloader)]
) -> ReloadReceipt:
    """Load the bundle that the bundle path holds now, and use it.

    It is verified and has answered once before it takes over; no request fails or mixes two models.
    A bundle that cannot be used is refused with the reason, and the model in use stays. One worker
    answers this call; further workers and replicas follow within two looks at their bundle path.
    """
    loaded = await reloader.reload()
    return ReloadReceipt(
        status="loaded" if loaded else "unchanged", model_version=service.model.version
    )
