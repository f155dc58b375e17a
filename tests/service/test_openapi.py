"""The OpenAPI document says all that a client needs: descriptions, examples, problems."""

from __future__ import annotations

from typing import Any

import pytest

from service.app import create_app
from service.settings import Settings

DOCUMENT: dict[str, Any] = create_app(
    Settings.model_validate({"bundle": "unused", "redis_url": "redis://unused"})
).openapi()
PROPERTIES = [
    (name, field, schema)
    for name, model in DOCUMENT["components"]["schemas"].items()
    for field, schema in model.get("properties", {}).items()
]
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def speaks_for_itself(schema: dict[str, Any]) -> bool:
    """True and false, the only value there is, and what has a schema of its own need no example."""
    if schema.get("type") == "boolean" or "const" in schema or "$ref" in schema:
        return True
    parts = schema.get("anyOf", [schema["items"]] if "items" in schema else [])
    return any(speaks_for_itself(part) or "examples" in part for part in parts)


@pytest.mark.parametrize(
    ("name", "field", "schema"),
    PROPERTIES,
    ids=[f"{name}.{field}" for name, field, _ in PROPERTIES],
)
def test_every_property_has_a_description_and_an_example(
    name: str, field: str, schema: dict[str, Any]
) -> None:
    assert schema.get("description"), f"{name}.{field} has no description"
    assert "examples" in schema or speaks_for_itself(schema), f"{name}.{field} has no example"


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_operation_is_described_with_its_parameters_and_problems(
    name: str, operation: dict[str, Any]
) -> None:
    assert operation["description"]
    for parameter in operation.get("parameters", []):
        schema = parameter["schema"]
        assert parameter.get("description") or schema.get("description"), parameter
        assert parameter.get("examples") or schema.get("examples"), parameter
    for status, response in operation["responses"].items():
        assert response["description"]
        if int(status) >= 400:
            assert list(response["content"]) == ["application/problem+json"], f"{name} {status}"
