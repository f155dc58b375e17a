"""Write the tables of settings and metrics into docs/operations.md, from the code: `make docs`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from service.metrics import Metrics
from service.settings import Settings, variable

DOCUMENT = Path(__file__).parents[1] / "docs/operations.md"


def settings() -> list[str]:
    """One row a setting."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(
            f"| `{variable(name)}` | {_default(field)} | {field.description}{_limits(field)} |"
        )
    return rows


def metrics() -> list[str]:
    """One row a metric."""
    rows = ["| metric | labels | meaning |", "|---|---|---|"]
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            suffix = "_total" if metric._type == "counter" else ""
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            rows.append(f"| `{metric._name}{suffix}` | {labels} | {metric._documentation} |")
    return rows


def filled(text: str) -> str:
    """A document with every table that it marks put in anew."""
    for name, rows in (("settings", settings()), ("metrics", metrics())):
        text, found = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda match, rows=rows: match[1] + "\n".join(_escaped(rows)) + "\n" + match[2],
            text,
            flags=re.DOTALL,
        )
        assert found == 1, name
    return text


def _escaped(rows: Iterable[str]) -> list[str]:
    return [row.replace("<", "&lt;") for row in rows]


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None or value == "":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _limits(field: FieldInfo) -> str:
    """What pydantic holds a number to, as far as it is more than being positive."""
    bounds = {
        name: getattr(part, name)
        for part in field.metadata
        for name in ("ge", "le")
        if hasattr(part, name)
    }
    if (
        field.annotation is SecretStr
        or not bounds
        or (bounds.get("ge") in (0, 1) and "le" not in bounds)
    ):
        return ""
    least, most = bounds.get("ge"), bounds.get("le")
    return f" {least:,} to {most:,}." if most is not None else f" At least {least:,}."


def main() -> None:
    """Write the tables, or with --check say whether they are as they should be."""
    text = DOCUMENT.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        sys.exit(f"{DOCUMENT.name} is out of date; run make docs" if filled(text) != text else 0)
    DOCUMENT.write_text(filled(text), encoding="utf-8")


if __name__ == "__main__":
    main()
