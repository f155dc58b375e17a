"""Which scope each call needs.

By method and path alone, so that a call is refused before its body is read, and so that a route which
nobody listed here is a guarded one.
"""

from __future__ import annotations

from service.security.keys import Scope

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/docs", "/redoc", "/openapi.json"})
"""Probes, and files that say nothing of anybody's data."""

ASKING = frozenset({"/recommend", "/explain"})
"""Calls that are sent with POST and only read."""


def needed_scope(method: str, path: str) -> Scope | None:
    """The scope of a call; None where it is open to everyone.

    Args:
        path: as it was sent, with its percent signs.
    """
    if path in OPEN_PATHS or path.startswith("/page/"):
        return None
    if path.startswith("/admin"):
        return "admin"
    if method in {"GET", "HEAD", "OPTIONS"} or path in ASKING:
        return "read"
    return "write"
