"""`streamrec serve`: recommendations over HTTP."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from streamrec.options import BundleOption, RedisFolder, RedisUrl


def serve(
    bundle: BundleOption,
    host: Annotated[str, typer.Option(envvar="STREAMREC_HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="STREAMREC_PORT", min=0, max=65535)] = 8000,
    workers: Annotated[
        int, typer.Option(envvar="STREAMREC_WORKERS", min=1, help="Server processes.")
    ] = 1,
    redis_url: RedisUrl = None,
    redis_folder: RedisFolder = Path("redis"),
) -> None:
    """Answer POST /recommend, /explain and /events; the OpenAPI document is at /docs.

    Everything else is set by environment variables STREAMREC_*, see docs/operations.md.

    \b
    Examples:
      streamrec serve --bundle bundle
      REDIS_URL=redis://localhost:6379/0 streamrec serve --bundle bundle --host 0.0.0.0 --workers 4
    """
    # Ctrl-C ends it at once, as SIGTERM does: a KeyboardInterrupt among imports may be lost in one of them.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from service.server import serve as serve_bundle
    from streamrec.console import remark
    from streamrec.service_settings import misspelt, service_settings

    for sentence in misspelt(os.environ):
        remark(sentence)
    given: dict[str, Any] = {
        "bundle": bundle,
        "host": host,
        "port": port,
        "workers": workers,
        "redis_folder": redis_folder,
        **({"redis_url": redis_url} if redis_url else {}),
    }
    serve_bundle(service_settings(**given))
