"""Who comes in: API keys and rate limits, checked before a body is read; and headers that browsers obey."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import Kind, problem_response
from service.api.page import shows_answer
from service.errors import StoreError
from service.metrics import Metrics
from service.security.access import needed_scope
from service.security.keys import ApiKey, ApiKeys, presented
from service.security.keys import Scope as KeyScope

_UNAUTHORIZED = Kind(401, "unauthorized", "An API key is needed")
_FORBIDDEN = Kind(403, "forbidden", "The API key does not allow this")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")
# The documentation is FastAPI's, which loads its viewer from there.
_CDN = "https://cdn.jsdelivr.net"
_DOCS_POLICY = (
    f"default-src 'none'; script-src 'unsafe-inline' {_CDN}; style-src 'unsafe-inline' {_CDN} "
    "https://fonts.googleapis.com; font-src https://fonts.gstatic.com; img-src 'self' data: "
    "https://fastapi.tiangolo.com https://cdn.redoc.ly; connect-src 'self'; worker-src blob:; "
    "frame-ancestors 'none'"
)


class Gate:
    """Lets a request in if its key allows it and its client has not had too many.

    Without any key configured everything is open but the admin calls, which always need one. While
    Redis does not answer nobody is limited: the service goes on, behind its own bounded queue.

    Args:
        keys: that were configured.
        metrics: counts who is turned away.
    """

    def __init__(self, app: ASGIApp, keys: ApiKeys, metrics: Metrics) -> None:
        self._app = app
        self._keys = keys
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        needed = needed_scope(scope["method"], scope["path"])
        if scope["path"].startswith("/explain/") and shows_answer(HTTPConnection(scope)):
            needed = None
        refused = None if needed is None else await self._refusal(scope, needed)
        if refused is None:
            await self._app(scope, receive, send)
            return
        kind, detail = refused
        self._metrics.rejected.labels(kind.slug).inc()
        headers = {"WWW-Authenticate": "Bearer"} if kind.status == 401 else {}
        await problem_response(scope, kind, detail, headers=headers)(scope, receive, send)

    async def _refusal(self, scope: Scope, needed: KeyScope) -> tuple[Kind, str] | None:
        secret = presented(Headers(scope=scope)) if self._keys else None
        key = None if secret is None else self._keys.find(secret)
        if key is not None:
            scope["state"]["client"] = key.name
        wait = await _excess(scope, key)
        if wait > 0:
            kind = Kind(429, "rate-limited", "Too many requests of this client", math.ceil(wait))
            return kind, f"more requests than this client may send; wait {math.ceil(wait)} s"
        if not self._keys and needed != "admin":
            return None
        if not self._keys:
            return _FORBIDDEN, "admin calls need an API key, and this service has none configured"
        if key is None:
            return _UNAUTHORIZED, "send an API key as Authorization: Bearer or as X-API-Key"
        if needed not in key.scopes:
            return _FORBIDDEN, f"this call needs a key with the scope {needed!r}"
        return None


async def _excess(scope: Mapping[str, Any], key: ApiKey | None) -> float:
    """Seconds that the client has to wait; a client is a key, or else an address."""
    limits = scope["app"].state.service.limits
    if limits is None:
        return 0.0
    client = f"address {(scope['client'] or ['unknown'])[0]}" if key is None else f"key {key.name}"
    try:
        wait: float = await limits.take(client)
    except StoreError:
        return 0.0
    return wait


class SecurityHeaders:
    """Adds to every answer the headers that it has not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                if scope["path"] in {"/docs", "/redoc"}:
                    MutableHeaders(scope=message)["Content-Security-Policy"] = _DOCS_POLICY
                own = {name for name, _ in message["headers"]}
                added = [header for header in _RAW_HEADERS if header[0] not in own]
                if scope["scheme"] == "https" and _HTTPS_ONLY[0] not in own:
                    added.append(_HTTPS_ONLY)
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, send_safely)
