"""Probes and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.api.deps import Service
from service.api.errors import problems
from service.api.schemas import Alive, Ready
from service.errors import NotReadyError, StoreError

router = APIRouter(tags=["operations"])


@router.get("/livez", responses=problems())
async def livez() -> Alive:
    """The process answers; says nothing of Redis or the model."""
    return Alive()


@router.get("/readyz", responses=problems(503))
async def readyz(service: Service) -> Ready:
    """The model is loaded and warm, and Redis answers; otherwise the reasons.

    A bundle that was refused is a problem, but the model in use goes on.
    """
    try:
        await service.connection.ping()
    except StoreError as error:
        raise NotReadyError([str(error)]) from error
    return Ready(
        model_version=service.model.version,
        problems=[service.bundle_problem] if service.bundle_problem else [],
    )


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems()},
)
async def metrics(service: Service) -> Response:
    """Prometheus metrics."""
    return Response(service.metrics.render(), media_type=CONTENT_TYPE_LATEST)
