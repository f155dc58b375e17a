"""The OpenAPI document: what FastAPI derives, and what surrounds every route."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.api.errors import Problem, problems
from service.security.access import needed_scope

_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key. Not needed where the service has none configured.",
    },
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def document_of(app: FastAPI) -> dict[str, Any]:
    """The document, made once; problem documents, API keys and their scopes included."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"] |= {**problem.pop("$defs"), "Problem": problem}
        document["components"]["securitySchemes"] = _SCHEMES
        refusals = {str(status): entry for status, entry in problems(401, 403, 429).items()}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                scope = needed_scope(method.upper(), path)
                if scope is not None:
                    # OpenAPI 3.1 lets any scheme name the roles that a call needs.
                    operation["security"] = [{name: [scope]} for name in _SCHEMES]
                    operation["responses"] = dict(
                        sorted({**refusals, **operation["responses"]}.items())
                    )
        app.openapi_schema = document
    return app.openapi_schema
