"""The load generator: HTTP requests over kept-alive connections, from a process of its own.

    python -m benchmarks.serving.load < plan.json > result.json

Closed loop: every client sends its next request when it has the answer to the last. Open loop: requests
arrive at random times at a fixed rate, however slow the answers are, and latency counts from the time
of arrival, so that queueing shows.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field

CONNECTIONS = 128
"""Most requests that an open loop has under way."""
WARM_UP = 0.5
"""Seconds before a measurement begins to count."""


@dataclass(frozen=True)
class Plan:
    """What to send.

    Attributes:
        port: of the service on this machine.
        bodies: of POST /recommend, sent in turn.
        seconds: for how long.
        clients: of a closed loop.
        rate: requests a second of an open loop; None for a closed one.
    """

    port: int
    bodies: list[str]
    seconds: float
    clients: int = 1
    rate: float | None = None


@dataclass
class Result:
    """What came back within the time that counts.

    Attributes:
        seconds: how long that was.
        latencies: milliseconds of each request that was answered with 200.
        refused: answers of any other status.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    refused: int = 0


class _Connection(asyncio.Protocol):
    """One kept-alive connection with one request under way at most."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, body: bytes) -> asyncio.Future[int]:
        """The status of the answer, once it is there."""
        assert self._transport
        self._answer = asyncio.get_running_loop().create_future()
        head = (
            "POST /recommend HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, complete, body = self._received.partition(b"\r\n\r\n")
        if not complete or self._answer is None:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._received = b""
            self._answer.set_result(int(head.split(b" ", 2)[1]))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(
                error or ConnectionError("the service closed the connection")
            )


async def run(plan: Plan) -> Result:
    """Send what the plan says and wait for the last answer."""
    loop = asyncio.get_running_loop()
    count = plan.clients if plan.rate is None else CONNECTIONS
    connections = [
        (await loop.create_connection(_Connection, "127.0.0.1", plan.port))[1] for _ in range(count)
    ]
    begin = time.perf_counter() + WARM_UP
    end = begin + plan.seconds
    result = Result()
    bodies = [body.encode() for body in plan.bodies]

    async def send(connection: _Connection, number: int, arrived: float) -> None:
        status = await connection.ask(bodies[number % len(bodies)])
        now = time.perf_counter()
        if not begin <= arrived < end:
            return
        if status == 200:
            result.latencies.append((now - arrived) * 1000)
        else:
            result.refused += 1

    async def client(connection: _Connection, number: int) -> None:
        while (now := time.perf_counter()) < end:
            await send(connection, number, now)
            number += count

    async def arrivals(rate: float) -> None:
        drawn = random.Random(0)
        free: asyncio.Queue[_Connection] = asyncio.Queue()
        for connection in connections:
            free.put_nowait(connection)

        async def one(number: int, arrived: float) -> None:
            connection = await free.get()
            await send(connection, number, arrived)
            free.put_nowait(connection)

        arrival, number = time.perf_counter(), 0
        async with asyncio.TaskGroup() as tasks:
            while arrival < end:
                await asyncio.sleep(max(0.0, arrival - time.perf_counter()))
                tasks.create_task(one(number, arrival))
                arrival += drawn.expovariate(rate)
                number += 1

    if plan.rate is None:
        await asyncio.gather(*(client(c, number) for number, c in enumerate(connections)))
    else:
        await arrivals(plan.rate)
    result.seconds = plan.seconds
    return result


if __name__ == "__main__":
    json.dump(asdict(asyncio.run(run(Plan(**json.load(sys.stdin))))), sys.stdout)
