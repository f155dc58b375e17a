"""A lean HTTP client, so that a loaded machine spends its time on the service and not on us."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.resilience.processes import ADMIN


@dataclass
class Answer:
    """What came back.

    Attributes:
        status: 0 where the connection failed.
        seconds: from asking to the last byte.
        at: when it was asked, on the monotonic clock.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float
    at: float

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Http:
    """Keep-alive connections to one service, opened as they are needed."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self._port = port
        self._timeout = timeout
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """One request; a failed connection is an answer with status 0."""
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: drill\r\nX-API-Key: {ADMIN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        at = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                status, headers, read = await self._exchange(head.encode() + content)
        except (OSError, asyncio.IncompleteReadError):
            status, headers, read = 0, {}, b""
        return Answer(status, headers, read, time.monotonic() - at, at)

    async def _exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        while True:
            reused = bool(self._free)
            if reused:
                reader, writer = self._free.pop()
            else:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                writer.close()
                # The server may close an idle connection just when it is used again.
                unheard = isinstance(error, ConnectionError) or not error.partial
                if reused and unheard:
                    continue
                raise
            except BaseException:
                writer.close()
                raise
            break
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        try:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        except BaseException:
            writer.close()
            raise
        if headers.get("connection") == "close":
            writer.close()
        else:
            self._free.append((reader, writer))
        return int(head[0].split()[1]), headers, body

    def close(self) -> None:
        """Close what is idle."""
        for _, writer in self._free:
            with suppress(RuntimeError):
                writer.close()
        self._free.clear()


Request = tuple[str, str, Any]


async def at_rate(
    http: Http, requests: Iterable[Request], rate: float, seconds: float, at_once: int = 1_000_000
) -> list[Answer]:
    """Send `rate` requests a second whether or not answers come (open loop).

    Args:
        at_once: requests that may wait for their answer; while there are so many, none is sent.
    """
    free = asyncio.Semaphore(at_once)

    async def ask(request: Request) -> Answer:
        try:
            return await http.ask(*request)
        finally:
            free.release()

    began = time.monotonic()
    tasks = []
    for number, request in enumerate(requests):
        due = began + number / rate
        if max(due, time.monotonic()) - began >= seconds:
            break
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await free.acquire()
        tasks.append(asyncio.create_task(ask(request)))
    return list(await asyncio.gather(*tasks))


async def by_clients(
    http: Http, requests: Iterable[Request], clients: int, seconds: float
) -> list[Answer]:
    """As many clients as given, each asking again once it has its answer (closed loop)."""
    answers: list[Answer] = []
    source, ends = iter(requests), time.monotonic() + seconds

    async def client() -> None:
        while time.monotonic() < ends:
            answers.append(await http.ask(*next(source)))

    await asyncio.gather(*(client() for _ in range(clients)))
    return answers


def recommending(items: int, length: int = 8, **body: object) -> Iterable[Request]:
    """Endless /recommend requests with inline histories that differ."""
    for number in itertools.count():
        history = [f"SKU-{(number * 7 + place * 13) % items + 1:05}" for place in range(length)]
        yield "POST", "/recommend", {"history": history, **body}


def percentile(answers: Iterable[Answer], percent: float) -> float:
    """Of the time that answers took, in milliseconds."""
    times = [answer.seconds for answer in answers]
    return round(float(np.percentile(times, percent)) * 1000, 1) if times else float("nan")


def count(answers: Iterable[Answer], holds: Callable[[Answer], bool]) -> int:
    """How many answers something holds for."""
    return sum(1 for answer in answers if holds(answer))
