"""One connection to Redis that every request shares.

Commands leave as they come and their answers return in that order (pipelining): a request neither takes a
connection from a pool nor gives one back, which costs redis-py more than the commands themselves. What is
asked in one turn of the event loop leaves in one packet.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError, ResponseError

Command = tuple[str | bytes | int, ...]
_PACK: Callable[[Command], bytes] = hiredis.pack_command  # type: ignore[assignment]
_Traffic = Callable[[AbstractConnection], Awaitable[None]]


class _Asked(NamedTuple):
    """Commands whose answers are awaited: how many, until when, and where the answers go."""

    commands: int
    due: float
    answers: asyncio.Future[list[Any]]


class SharedConnection:
    """Opened when it is first needed, and again after it was lost.

    Args:
        pool: knows the server, how to log in there, and, behind Sentinels, which one it is now.
        timeout: seconds until an answer, or a connection, is given up.
    """

    def __init__(self, pool: ConnectionPool, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._connection: AbstractConnection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._packed: list[bytes] = []
        self._something_packed = asyncio.Event()
        self._waiting: deque[_Asked] = deque()
        self._traffic: list[asyncio.Task[None]] = []
        self._watch: asyncio.TimerHandle | None = None
        self._giving_up: asyncio.Task[None] | None = None

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The answer to each of some commands.

        Raises:
            RedisError: Redis cannot be reached, or refused one of them; the others may be done.
            OSError: likewise; a TimeoutError where it took too long.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + self._timeout
        if self._connection is None:
            async with asyncio.timeout_at(due):
                await self._opened()
            if self._connection is None:
                raise LostError("the connection was lost")
        asked = _Asked(len(commands), due, loop.create_future())
        self._packed.append(b"".join(map(_PACK, commands)))
        self._something_packed.set()
        self._waiting.append(asked)
        if self._watch is None:
            self._watch = loop.call_at(due, self._give_up_what_is_overdue)
        answers = await asked.answers
        for answer in answers:
            if isinstance(answer, RedisError):
                raise answer
        return answers

    async def close(self) -> None:
        """Close it; who waits is told so."""
        connection = self._connection
        self._lose(LostError("the connection was closed"))
        if self._opening:
            self._opening.cancel()
        if connection:
            await connection.disconnect(nowait=True)

    def _give_up_what_is_overdue(self) -> None:
        """One timer for all who wait, as answers come in the order of the questions.

        It counts those who have left, too: the connection of a server that hangs is given up though
        everybody had less time than that.
        """
        self._watch = None
        if not self._waiting:
            return
        loop, due = asyncio.get_running_loop(), self._waiting[0].due
        if due > loop.time():
            self._watch = loop.call_at(due, self._give_up_what_is_overdue)
            return
        # Nothing that it still owes may be read any more: it would go to whoever asks next.
        connection = self._connection
        self._lose(TimeoutError("Redis takes too long"))
        if connection:
            self._giving_up = loop.create_task(connection.disconnect(nowait=True))

    async def _opened(self) -> None:
        """Opened by all who wait for it together: one who leaves, as at a deadline, ends nothing."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="open-redis")
            self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        opening = self._opening
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled():
                raise LostError("the connection was closed") from None
            raise

    async def _open(self) -> None:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(self._timeout):
                await connection.connect()  # type: ignore[no-untyped-call]
            self._connection = connection
            self._traffic = [
                asyncio.create_task(self._until_lost(connection, traffic), name="redis")
                for traffic in (self._send, self._receive)
            ]
        finally:
            self._opening = None

    async def _until_lost(self, connection: AbstractConnection, traffic: _Traffic) -> None:
        try:
            await traffic(connection)
        except (RedisError, OSError) as error:
            if connection is self._connection:
                self._lose(error)

    async def _send(self, connection: AbstractConnection) -> None:
        while True:
            await self._something_packed.wait()
            self._something_packed.clear()
            packed, self._packed = self._packed, []
            await connection.send_packed_command(packed, check_health=False)

    async def _receive(self, connection: AbstractConnection) -> None:
        answers: list[Any] = []
        while True:
            try:
                answers.append(await connection.read_response(timeout=math.inf))
            except ResponseError as refusal:
                answers.append(refusal)
            if len(answers) == self._waiting[0].commands:
                future = self._waiting.popleft().answers
                if not future.done():  # whoever asked may have left
                    future.set_result(answers)
                answers = []

    def _lose(self, error: Exception) -> None:
        for task in self._traffic:
            if task is not asyncio.current_task():
                task.cancel()
        self._connection, self._traffic, self._packed = None, [], []
        while self._waiting:
            future = self._waiting.popleft().answers
            if not future.done():
                future.set_exception(error)
                future.exception()  # no complaint where whoever asked has another error already
