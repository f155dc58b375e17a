"""What pydantic found wrong, in words that do not need pydantic to be understood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def problems_of(
    error: ValidationError, model: type[BaseModel], whole: str = "", *, values: bool = False
) -> str:
    """Every problem with its place, on one line.

    Args:
        error: what was found.
        model: what was validated.
        whole: place of a problem that concerns all of it.
        values: show the value at fault; not to be asked for where it may be somebody's secret.
    """
    return "; ".join(
        f"{'.'.join(map(str, found['loc'])) or whole}: {message_of(found, model, found['loc'])}"
        + (_value(found) if values else "")
        for found in error.errors()
    )


def _value(found: Any) -> str:
    value = found["input"]
    whole_table = isinstance(value, dict) or found["type"] == "extra_forbidden"
    return "" if whole_table else f" (found {value!r:.60})"


def plain(message: str) -> str:
    """A message without the words that pydantic puts before it."""
    return message.removeprefix("Value error, ")


def message_of(found: Any, model: object, place: Sequence[str | int]) -> str:
    """One problem of `errors()`, without its place; an unknown key names the known ones.

    Args:
        found: the problem.
        model: type of what was validated.
        place: of the problem, from there.
    """
    if found["type"] == "extra_forbidden":
        *parents, _ = place
        known = dict.fromkeys(
            name for owner in _owners(model, parents) for name in owner.model_fields
        )
        return f"unknown key; known are {', '.join(known)}" if known else "unknown key"
    if found["type"] == "bool_parsing":
        return "must be true or false"
    return plain(found["msg"])


def _owners(annotation: object, place: Sequence[str | int]) -> list[type[BaseModel]]:
    """The models that may stand at a place; a part that no field is named after stays where it is."""
    owners = list(_models(annotation))
    for part in place:
        inner = [
            model
            for owner in owners
            if part in owner.model_fields
            for model in _models(owner.model_fields[str(part)].annotation)
        ]
        owners = inner or owners
    return owners


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """The models within a type, such as those of a union or a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
