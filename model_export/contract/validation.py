"""What pydantic found wrong, in words that do not need pydantic to be understood."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError


def problems_of(error: ValidationError, whole: str = "") -> str:
    """Every problem with its place, on one line.

    Args:
        error: what was found.
        whole: place of a problem that concerns all of it.
    """
    return "; ".join(
        f"{'.'.join(map(str, found['loc'])) or whole}: {message_of(found)}"
        for found in error.errors()
    )


def message_of(found: Any) -> str:
    """One problem of `errors()`, without its place."""
    if found["type"] == "extra_forbidden":
        return "unknown key"
    message: str = found["msg"].removeprefix("Value error, ")
    return message
