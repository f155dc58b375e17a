"""The short way of POST /recommend: what most requests are, without what any route might need.

Between Starlette's router and FastAPI's dependencies a request costs more than its answer does. A body
that is whole, JSON and valid is answered here; everything else takes the route of recommendations.py,
which also stands in the documentation, and which words every error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import SimpleNamespace

from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import service_problem
from service.api.schemas import Recommendation, RecommendRequest
from service.errors import ServiceError
from service.state import ServiceState

_PATH = "/recommend"
_ROUTE = SimpleNamespace(path_format=_PATH)
"""What the log and the metrics call it."""
_JSON = b"application/json"
_ANSWERS = TypeAdapter(Recommendation)


class DirectRecommend:
    """Answers plain requests for recommendations itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["path"] != _PATH
            or scope["method"] != "POST"
            or not _says_json(scope["headers"])
        ):
            await self._app(scope, receive, send)
            return
        first: Message | HTTPException
        try:
            first = await receive()
            request = _read(first)
        except HTTPException as error:
            first, request = error, None
        if request is None:
            await self._app(scope, _again(first, receive), send)
            return
        scope["route"] = _ROUTE
        service: ServiceState = scope["app"].state.service
        try:
            with service.model.requests:
                answer = await service.recommender.recommend(request)
        except ServiceError as error:
            await service_problem(scope, error)(scope, receive, send)
            return
        body = _ANSWERS.dump_json(answer)
        headers = [(b"content-length", str(len(body)).encode()), (b"content-type", _JSON)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _says_json(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"content-type" and value.partition(b";")[0].strip().lower() == _JSON
        for name, value in headers
    )


def _read(message: Message) -> RecommendRequest | None:
    """The request, if this is the whole of it and valid."""
    if message["type"] != "http.request" or message.get("more_body", False):
        return None
    try:
        # As FastAPI does it: pydantic's own parser takes and refuses other things.
        return RecommendRequest.model_validate(json.loads(message["body"]))
    except (ValidationError, ValueError, RecursionError):
        return None


def _again(first: Message | HTTPException, receive: Receive) -> Receive:
    """Receives what was received already, and then the rest."""
    waiting = [first]

    async def receive_again() -> Message:
        if not waiting:
            return await receive()
        message = waiting.pop()
        if isinstance(message, HTTPException):
            raise message
        return message

    return receive_again
