"""Overload: what could only wait is refused before its body is read, which costs next to nothing."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import TABLE, problem_response
from service.errors import OverloadedError
from service.metrics import Metrics
from service.security.access import ASKING

_KIND = TABLE[OverloadedError]


class Admission:
    """Bounds the requests that are on their way to the model.

    A request counts from the end of its body, so that slow clients take nobody's place.

    Args:
        limit: requests at a time; one more is refused.
        metrics: counts who is turned away.
    """

    def __init__(self, app: ASGIApp, limit: int, metrics: Metrics) -> None:
        self._app = app
        self._limit = limit
        self._metrics = metrics
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in ASKING:
            await self._app(scope, receive, send)
            return
        if self._running >= self._limit:
            self._metrics.rejected.labels(_KIND.slug).inc()
            detail = "too many requests wait for the model; try again shortly"
            await problem_response(scope, _KIND, detail)(scope, receive, send)
            return
        counted = False

        async def arriving() -> Message:
            nonlocal counted
            message = await receive()
            if not counted and not message.get("more_body", False):
                counted = True
                self._running += 1
            return message

        try:
            await self._app(scope, arriving, send)
        finally:
            self._running -= counted
