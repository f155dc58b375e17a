"""The application: routes, middleware, and what lives as long as the process."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version

import structlog
from fastapi import FastAPI
from prometheus_client.multiprocess import mark_process_dead
from starlette.middleware.cors import CORSMiddleware

from service.api import (
    admin,
    errors,
    events,
    item_changes,
    items,
    operations,
    page,
    recommendations,
    users,
)
from service.api.admission import Admission
from service.api.direct import DirectRecommend
from service.api.gate import Gate, SecurityHeaders
from service.api.middleware import BodyLimit, EncodedIds, RequestContext
from service.api.openapi import document_of
from service.background import end
from service.errors import StartError, StoreError
from service.event_stream import EventStream
from service.event_weights import EventWeights
from service.live.sync import LiveSync
from service.metrics import Metrics
from service.model import LoadedModel, load_model
from service.reload import Reloader, fingerprint
from service.security.keys import ApiKeys
from service.settings import Settings
from service.state import ServiceState
from service.stores.connection import Connection
from service.stores.histories import HistoryStore
from service.stores.rate_limits import RateLimits
from service.stores.recommendations import RecommendationStore

log = structlog.get_logger("streamrec")


def create_app(settings: Settings, load: Callable[[Settings], LoadedModel] = load_model) -> FastAPI:
    """An app that loads its bundle when it starts.

    Args:
        settings: with `redis_url` set; `service.server.serve` starts a Redis where none is given.
        load: where the model comes from.

    Raises:
        StartError: the settings of Redis or of API keys are wrong.
    """
    metrics = Metrics()
    app = FastAPI(
        title="STREAM-Rec",
        version=version("stream-rec"),
        summary="A recommender that thinks before it answers.",
        lifespan=_lifespan(settings, load, metrics),
        openapi_url="/openapi.json" if settings.docs else None,
        docs_url="/docs" if settings.docs else None,
        redoc_url="/redoc" if settings.docs else None,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.state.metrics = metrics
    app.state.page = page.Page(settings.page_users) if settings.page else None
    for part in (recommendations, events, items, item_changes, users, admin, operations):
        app.include_router(part.router)
    app.include_router(items.popular)
    if settings.page:
        app.include_router(page.router)
    errors.install(app)
    _guard(app, settings, metrics)
    app.openapi = lambda: document_of(app)  # type: ignore[method-assign]
    return app


def _lifespan(
    settings: Settings, load: Callable[[Settings], LoadedModel], metrics: Metrics
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What an app does before its first request and after its last."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        found = fingerprint(settings.bundle)
        model = load(settings)
        connection = _connect(settings, metrics)
        live = LiveSync.of(connection, settings, lambda: app.state.service.model)
        app.state.service = _state(settings, model, connection, live, metrics)
        app.state.reloader = Reloader(app.state.service, settings, load, found)
        await model.start()
        metrics.queue_depth.set_function(lambda: app.state.service.model.batcher.depth)
        metrics.model_info.labels(model.version).set(1)
        try:
            await connection.ping()
            await live.try_refresh(model)
        except StoreError:
            log.warning("redis does not answer; recommendations are degraded until it does")
        # The collector would visit the catalogue again and again, and find nothing.
        gc.freeze()
        log.info("ready", model_version=model.version, items=len(model.bundle.catalog))
        watching = asyncio.create_task(app.state.reloader.watch(), name="watch-bundle")
        following = asyncio.create_task(live.run(), name="follow-items")
        stream = EventStream(app.state.service, settings) if settings.event_stream else None
        if stream:
            stream.start()
        yield
        await end(watching, following)
        if stream:
            await stream.stop()
        await app.state.reloader.stop()
        await app.state.service.model.stop()
        await live.stop()
        await connection.close()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]

    return lifespan


def _state(
    settings: Settings, model: LoadedModel, connection: Connection, live: LiveSync, metrics: Metrics
) -> ServiceState:
    """What requests share."""
    return ServiceState(
        model=model,
        connection=connection,
        histories=HistoryStore(
            connection,
            settings.history_cap,
            settings.history_ttl,
            settings.event_id_ttl,
            live.learn if settings.learn_from_events else None,
        ),
        recommendations=RecommendationStore(connection, settings.explanation_ttl),
        limits=RateLimits(connection, settings.rate_limit, settings.rate_burst)
        if settings.rate_limit
        else None,
        metrics=metrics,
        weights=EventWeights.parse(settings.event_weights),
        live=live,
    )


def _guard(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """What stands before the routes; the last one added meets a request first."""
    app.add_middleware(DirectRecommend)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes, seconds=settings.body_seconds)
    app.add_middleware(Admission, limit=settings.queue_size + settings.max_batch, metrics=metrics)
    app.add_middleware(Gate, keys=ApiKeys.of(settings), metrics=metrics)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[origin.strip() for origin in settings.cors_origins.split(",")],
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["Retry-After", "X-Request-ID"],
        )
    app.add_middleware(SecurityHeaders)
    app.add_middleware(EncodedIds)
    app.add_middleware(RequestContext, metrics=metrics)


def _connect(settings: Settings, metrics: Metrics) -> Connection:
    if settings.redis_url is None:
        raise StartError("no Redis is given; set REDIS_URL, or start with `streamrec serve`")
    return Connection(
        settings.redis_url.get_secret_value(),
        settings.redis_timeout,
        settings.redis_connections,
        metrics.redis_errors.inc,
    )
