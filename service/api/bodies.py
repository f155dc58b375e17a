"""What is wrong with a body as a whole, in a sentence that says what to send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNREADABLE: Mapping[type, str] = {
    UnicodeDecodeError: "the body is not text in UTF-8; send JSON in UTF-8",
    RecursionError: "the body is nested too deeply; see /openapi.json for what goes into it",
}
"""What stops the reader of a body before it can say where."""

_WANTED = "send a JSON object, with the header Content-Type: application/json"


def body_problem(found: Mapping[str, Any], content_type: str | None) -> tuple[str, str] | None:
    """Where it is and what it is, if none of the body's fields can be read; None where a field is wrong.

    Args:
        found: one of the `errors()` of a validation.
        content_type: that header of the request.
    """
    if found["type"] == "json_invalid":
        place = found["loc"][-1]
        reason = found["ctx"]["error"]
        return "body", f"this is not JSON: {reason} at character {place}; mend it there"
    if found["loc"] != ("body",):
        return None
    if found["type"] == "missing":
        return "body", f"there is none; {_WANTED}"
    if isinstance(found["input"], bytes):  # FastAPI parses nothing else than JSON
        kind = (content_type or "").partition(";")[0][:64]
        said = f"as {kind}" if kind else "without a Content-Type"
        return "body", f"it was sent {said}; {_WANTED}"
    if found["type"] == "model_attributes_type":
        return "body", "this is JSON, but not an object; send one in braces: {…}"
    return None
