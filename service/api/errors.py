"""Every error as an RFC 9457 problem document, and the table exception → HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match

from model_export.contract.validation import message_of
from service.api.bodies import UNREADABLE, body_problem
from service.errors import (
    BundleRefusedError,
    ConflictError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
    ServiceError,
    StoreError,
)

PROBLEM_JSON = "application/problem+json"


class FieldError(BaseModel):
    """One thing that is wrong."""

    location: str = Field(description="Where it is.", examples=["body.count"])
    message: str = Field(
        description="What is wrong.", examples=["Input should be less than or equal to 100"]
    )


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field(
        description="Names the kind of problem.", examples=["urn:stream-rec:problem:overloaded"]
    )
    title: str = Field(description="The kind in words.", examples=["Too many requests wait"])
    status: int = Field(description="The HTTP status.", examples=[503])
    detail: str = Field(
        description="What is wrong here, and what to do.",
        examples=["too many requests wait for the model; try again shortly"],
    )
    instance: str = Field(description="The path that was asked for.", examples=["/recommend"])
    request_id: str = Field(
        description="Also in the X-Request-ID header and in the log.",
        examples=["0b7c2f6e4d5a4f0c8a9e1d2c3b4a5f60"],
    )
    errors: list[FieldError] = Field([], description="Every single thing that is wrong.")


class Kind(NamedTuple):
    """How an exception looks over HTTP."""

    status: int
    slug: str
    title: str
    retry_after: int | None = None


TABLE: Mapping[type[ServiceError], Kind] = {
    OverloadedError: Kind(503, "overloaded", "Too many requests wait", retry_after=1),
    StoreError: Kind(503, "store-unavailable", "The history store does not answer", retry_after=2),
    NotReadyError: Kind(503, "not-ready", "The service is not ready", retry_after=2),
    BundleRefusedError: Kind(409, "bundle-refused", "The bundle was refused"),
    ConflictError: Kind(409, "conflict", "This does not go with what is there"),
    NotFoundError: Kind(404, "not-found", "Nothing is known under this id"),
}

DESCRIPTIONS = {
    400: "The request is not valid HTTP or JSON.",
    401: "An API key is needed.",
    403: "The API key does not allow this, or admin calls are closed.",
    404: "Nothing is known under this id.",
    405: "The path does not answer to this method.",
    408: "The body did not arrive in time.",
    409: "It cannot be done as things stand; `detail` says why.",
    413: "The body is larger than the service accepts.",
    422: "The request breaks a rule of this document; `errors` names each.",
    429: "More requests than this client may send; see Retry-After.",
    500: "A fault of the service; the log holds the request id.",
    503: "Overloaded, not ready, or the history store does not answer; see Retry-After.",
}


def problem_response(
    scope: Mapping[str, Any],
    kind: Kind,
    detail: str,
    errors: list[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The problem document for one failed request."""
    problem = Problem(
        type=f"urn:stream-rec:problem:{kind.slug}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=scope["path"],
        request_id=scope["state"]["request_id"],
        errors=errors or [],
    )
    retry = {} if kind.retry_after is None else {"Retry-After": str(kind.retry_after)}
    return ProblemResponse(
        problem.model_dump(), status_code=kind.status, headers={**(headers or {}), **retry}
    )


class ProblemResponse(JSONResponse):
    """ASCII, so that even text which UTF-8 cannot hold comes back escaped."""

    media_type = PROBLEM_JSON

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode("ascii")


def http_kind(status: int) -> Kind:
    """The kind of a plain HTTP error."""
    phrase = HTTPStatus(status).phrase
    return Kind(status, phrase.lower().replace(" ", "-"), phrase)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries of a route's problems; those that any route has are added."""
    schema = {"$ref": "#/components/schemas/Problem"}
    retry_after = {
        "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    }
    return {
        status: {
            "description": DESCRIPTIONS[status],
            "content": {PROBLEM_JSON: {"schema": schema}},
            **({"headers": retry_after} if status in {429, 503} else {}),
        }
        for status in sorted({*statuses, 400, 408, 413, 422, 500})
    }


def service_problem(scope: Mapping[str, Any], error: ServiceError) -> JSONResponse:
    """The problem document for what the service could not do."""
    kind = TABLE[type(error)]
    if kind.status == 503:
        scope["app"].state.metrics.rejected.labels(kind.slug).inc()
    reasons = error.reasons if isinstance(error, NotReadyError) else []
    errors = [FieldError(location="service", message=reason) for reason in reasons]
    return problem_response(scope, kind, str(error), errors)


def install(app: FastAPI) -> None:
    """Let `app` answer every error with a problem document."""

    async def service_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ServiceError)
        return service_problem(request.scope, error)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        errors = [_field_error(found, request) for found in error.errors()]
        kind = Kind(422, "invalid-request", "The request is not valid")
        return problem_response(request.scope, kind, "; ".join(map(_sentence, errors)), errors)

    async def http_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers = error.headers
        detail = UNREADABLE.get(type(error.__cause__), error.detail)
        path = request.scope["path"]
        if error.status_code == 404:
            detail = f"there is no {path}; there are {', '.join(_paths(request))}"
        elif error.status_code == 405:
            allowed = ", ".join(sorted(_methods(request)))
            headers = {"Allow": allowed}
            detail = f"{path} does not answer to {request.method}; it does to {allowed}"
        return problem_response(
            request.scope, http_kind(error.status_code), detail, headers=headers
        )

    app.add_exception_handler(ServiceError, service_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http_error)


def _field_error(found: Any, request: Request) -> FieldError:
    """One problem of `errors()`."""
    if whole := body_problem(found, request.headers.get("content-type")):
        return FieldError(location=whole[0], message=whole[1])
    body = getattr(request.scope.get("route"), "body_field", None)
    return FieldError(
        location=".".join(map(str, found["loc"])),
        message=message_of(found, body and body.field_info.annotation, found["loc"]),
    )


def _paths(request: Request) -> list[str]:
    """Every path of the documented API."""
    return sorted(request.app.openapi()["paths"])


def _methods(request: Request) -> set[str]:
    """Methods that the path of a request answers to; Starlette names those of one route alone."""
    return {
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        for route in request.app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }


def _sentence(error: FieldError) -> str:
    return f"{error.location}: {error.message}"
