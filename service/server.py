"""`streamrec serve`: Redis if none is given, then the worker processes."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from model_export.contract.bundle import Bundle, open_bundle
from model_export.contract.errors import BundleError
from service.app import create_app
from service.embedded_redis import embedded_redis
from service.errors import StartError
from service.http_protocol import StrictProtocol
from service.logs import configure_logging
from service.model import LoadedModel, load_model
from service.security.keys import ApiKeys
from service.settings import Settings
from service.stores.redis_url import open_redis

EMBEDDED_TIMEOUT = 5.0
"""Seconds that a call to the embedded Redis may take: it writes to disk before it answers."""
_WORKER_SECONDS = 15
"""In which a worker must give a sign of life, of which it is capable once its modules are loaded."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; what runs then is finished first.

    Raises:
        BundleError: the bundle cannot be used.
        StartError: the API keys or the address of Redis are wrong, the port is taken, or the embedded
            Redis does not start.
    """
    # uvicorn raises the signal again once it has stopped; unhandled, it would skip the clean-up here.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    configure_logging()
    _allow_many_connections()
    bundle = open_bundle(settings.bundle)
    ApiKeys.of(settings)
    _check_redis_url(settings)
    _check_port(settings)
    with ExitStack() as stack:
        if settings.redis_url is None:
            url = stack.enter_context(embedded_redis(settings.redis_folder))
            patience = max(settings.redis_timeout, EMBEDDED_TIMEOUT)
            settings = settings.model_copy(
                update={"redis_url": SecretStr(url), "redis_timeout": patience}
            )
        app: FastAPI | str
        if settings.workers > 1:
            folder = tempfile.TemporaryDirectory(prefix="streamrec-metrics-")
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = stack.enter_context(folder)
            # Worker processes inherit the environment and read the settings from it.
            os.environ.update(settings.environment())
            app = "service.server:worker_app"
        else:
            app = create_app(settings, _loader(bundle))
        del bundle
        config = uvicorn.Config(
            app,
            factory=settings.workers > 1,
            http=StrictProtocol,
            # uvloop accepts one connection a turn, so that a crowd waits for seconds to be refused.
            loop="asyncio",
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=settings.drain_seconds,
            timeout_worker_healthcheck=_WORKER_SECONDS,
        )
        _run(config)


def _run(config: uvicorn.Config) -> None:
    """As `uvicorn.run`, which does not tell whether worker processes started.

    Raises:
        SystemExit: the app did not start; the log says why.
    """
    if config.workers > 1:
        supervisor = Multiprocess(config, [config.bind_socket()])
        supervisor.run()
        started = all(process.exitcode != STARTUP_FAILURE for process in supervisor.processes)
    else:
        server = uvicorn.Server(config)
        server.run()
        started = server.started
    if not started:
        raise SystemExit(STARTUP_FAILURE)


def _loader(opened: Bundle) -> Callable[[Settings], LoadedModel]:
    """Loads the bundle that is open already, and later whatever lies there then."""
    waiting = [opened]

    def load(settings: Settings) -> LoadedModel:
        if waiting:
            with suppress(BundleError):  # another took its place
                bundle = waiting.pop()
                bundle.check_in_place()
                return load_model(settings, bundle)
        return load_model(settings)

    return load


def worker_app() -> FastAPI:
    """The app of one worker process, configured by the environment."""
    configure_logging()
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    return create_app(Settings())


def _end_with_parent() -> None:
    """Stop once the parent is gone, however it went: nobody else would, and the port would stay taken."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _allow_many_connections() -> None:
    """Each client holds a descriptor; the usual soft limit of 1,024 is for programs that use select."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _check_redis_url(settings: Settings) -> None:
    """Refuse a wrong URL once, before every worker does."""
    if settings.redis_url:
        open_redis(settings.redis_url.get_secret_value(), settings.redis_timeout)


def _check_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise StartError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
                "choose another with --port"
            ) from error
