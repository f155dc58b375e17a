"""Structured logs: one JSON object a line, with the request id; never a history or a user."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from typing import Any

import structlog
from structlog.typing import Processor

_ENCODER = json.JSONEncoder(default=repr)
"""Kept, where `json.dumps` with a default makes one for each line."""


def _as_json(event: dict[str, Any], **_: object) -> str:
    return _ENCODER.encode(event)


class _Lines(structlog.WriteLogger):
    """A line that cannot be written, as on a full disk, is lost; nothing else is."""

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure_logging(level: str = "INFO") -> None:
    """Send every log record of this process to stdout as JSON, those of libraries too."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    # Our own lines are written directly: the way through `logging` costs ten times as much.
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(_as_json)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(_as_json),
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
