"""What surrounds every request: id, log line, metrics, size limit and last resort."""

from __future__ import annotations

import asyncio
import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import Kind, http_kind, problem_response
from service.metrics import Metrics

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FAULT = Kind(500, "internal-error", "The service failed")

log = structlog.get_logger("streamrec.http")


class RequestContext:
    """Gives each request an id, measures it, logs it, and turns a fault into a problem document."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("fault")
            if status is not None:
                raise
            response = problem_response(scope, _FAULT, "the service failed; the log knows more")
            await response(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            # The template of the route, never the path: a path holds user ids.
            route = getattr(scope.get("route"), "path_format", "unmatched")
            labels = (scope["method"], route, str(status or 499))
            self._metrics.requests.labels(*labels).observe(seconds)
            log.info(
                "request",
                method=scope["method"],
                route=route,
                status=status or 499,
                ms=round(seconds * 1000, 2),
                **({"client": scope["state"]["client"]} if "client" in scope["state"] else {}),
            )
            structlog.contextvars.unbind_contextvars("request_id")


class BodyLimit:
    """Refuses bodies above a size, by their announced length or while they arrive, and slow ones.

    Args:
        limit: bytes.
        seconds: in which a body must have arrived.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float) -> None:
        self._app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        detail = f"the body is larger than {self._limit} bytes"
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self._limit:
            await problem_response(scope, http_kind(413), detail)(scope, receive, send)
            return
        arrived, whole = 0, False
        deadline = asyncio.get_running_loop().time() + self._seconds

        async def counted() -> Message:
            nonlocal arrived, whole
            try:
                async with asyncio.timeout_at(None if whole else deadline):
                    message = await receive()
            except TimeoutError:
                late = f"the body did not arrive within {self._seconds:g} s"
                raise HTTPException(408, late, {"Connection": "close"}) from None
            arrived += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if arrived > self._limit:
                raise HTTPException(413, detail)
            return message

        await self._app(scope, counted, send)


class EncodedIds:
    """Routes by the path as it was sent, so that an id may hold a slash; ids stay percent-encoded."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["path"] = scope["raw_path"].decode("ascii", "replace")
        await self._app(scope, receive, send)
