"""The application: routes, middleware, and what lives as long as the process."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from prometheus_client.multiprocess import mark_process_dead

from service.api import errors, events, items, operations, page, recommendations, users
from service.api.middleware import BodyLimit, EncodedIds, RequestContext
from service.errors import StartError, StoreError
from service.event_weights import EventWeights
from service.metrics import Metrics
from service.model import LoadedModel, load_model
from service.settings import Settings
from service.state import ServiceState
from service.stores.connection import Connection
from service.stores.histories import HistoryStore
from service.stores.recommendations import RecommendationStore

log = structlog.get_logger("streamrec")


def create_app(settings: Settings, load: Callable[[Settings], LoadedModel] = load_model) -> FastAPI:
    """An app that loads its bundle when it starts.

    Args:
        settings: with `redis_url` set; `service.server.serve` starts a Redis where none is given.
        load: where the model comes from.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        model = load(settings)
        connection = _connect(settings, metrics)
        app.state.service = ServiceState(
            model=model,
            connection=connection,
            histories=HistoryStore(
                connection, settings.history_cap, settings.history_ttl, settings.event_id_ttl
            ),
            recommendations=RecommendationStore(connection, settings.explanation_ttl),
            metrics=metrics,
            weights=EventWeights.parse(settings.event_weights),
        )
        await model.start()
        metrics.queue_depth.set_function(lambda: app.state.service.model.batcher.depth)
        metrics.model_info.labels(model.version).set(1)
        try:
            await connection.ping()
        except StoreError:
            log.warning("redis does not answer; recommendations are degraded until it does")
        log.info("ready", model_version=model.version, items=len(model.bundle.catalog))
        yield
        await app.state.service.model.stop()
        await connection.close()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]

    app = FastAPI(
        title="STREAM-Rec",
        version=version("stream-rec"),
        summary="A recommender that thinks before it answers.",
        lifespan=lifespan,
        docs_url="/docs" if settings.page else None,
        redoc_url="/redoc" if settings.page else None,
    )
    app.state.metrics = metrics
    app.state.page = page.Page(settings.page_users) if settings.page else None
    for part in (recommendations, events, items, users, operations):
        app.include_router(part.router)
    if settings.page:
        app.include_router(page.router)
    errors.install(app)
    app.add_middleware(EncodedIds)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    app.add_middleware(RequestContext, metrics=metrics)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _connect(settings: Settings, metrics: Metrics) -> Connection:
    if settings.redis_url is None:
        raise StartError("no Redis is given; set REDIS_URL, or start with `streamrec serve`")
    return Connection(
        settings.redis_url.get_secret_value(),
        settings.redis_timeout,
        settings.redis_connections,
        metrics.redis_errors.inc,
    )


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the problem document that every route refers to."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        problem = errors.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"] |= {**problem.pop("$defs"), "Problem": problem}
        app.openapi_schema = document
    return app.openapi_schema
