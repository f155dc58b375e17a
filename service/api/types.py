"""Types of single values in requests: ids, times and whole numbers, exactly as OpenAPI says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import unquote

from fastapi import Path
from pydantic import BeforeValidator, Field, WithJsonSchema

_LATEST = 20_000_000_000
"""Largest Unix time in seconds (year 2603); more is most likely meant in milliseconds."""


def _read_time(value: object) -> datetime:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LATEST:
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value.upper())
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise ValueError("neither an ISO 8601 time nor Unix seconds")


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


ShownId = Annotated[str, Field(description="The external id.", examples=["camera-017"])]

Id = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="An external id; any text without control characters.",
        examples=["camera-017"],
    ),
]

PathId = Annotated[Id, Path(examples=["camera-017"]), BeforeValidator(unquote)]
"""An id in a path, which `EncodedIds` left percent-encoded."""

WHOLE = BeforeValidator(_whole)
"""Lets an integer be written 1.0, which JSON does not tell from 1."""

Time = Annotated[
    datetime,
    BeforeValidator(_read_time),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "number", "minimum": 0, "maximum": _LATEST},
            ],
            "description": "ISO 8601 or Unix seconds; UTC if no zone is given.",
            "examples": ["2026-03-01T12:00:00Z"],
        }
    ),
]
