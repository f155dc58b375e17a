"""What routes ask for, each under one name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from service.model import LoadedModel
from service.recommender import Recommender
from service.state import ServiceState


# Coroutines all: FastAPI hands a plain function to a thread, which costs more than it does.
async def _service(request: Request) -> ServiceState:
    state: ServiceState = request.app.state.service
    return state


async def _model(service: Annotated[ServiceState, Depends(_service)]) -> LoadedModel:
    return service.model


async def _recommender(
    service: Annotated[ServiceState, Depends(_service)],
) -> AsyncIterator[Recommender]:
    with service.model.requests:
        yield service.recommender


Service = Annotated[ServiceState, Depends(_service)]
Model = Annotated[LoadedModel, Depends(_model)]
Recommend = Annotated[Recommender, Depends(_recommender)]
