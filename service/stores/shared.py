"""One connection to Redis that every request shares.

Commands leave as they come and their answers return in that order (pipelining): a request neither takes a
connection from a pool nor gives one back, which costs redis-py more than the commands themselves.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError, ResponseError

Command = tuple[str | bytes | int, ...]


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
        self._opening: asyncio.Task[AbstractConnection] | None = None
        self._waiting: deque[tuple[int, asyncio.Future[list[Any]]]] = deque()
        self._receiver: asyncio.Task[None] | None = None
        self._overdue: asyncio.Task[None] | None = None
        self._answered = 0

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The answer to each of some commands.

        Raises:
            RedisError: Redis cannot be reached, or refused one of them; the others may be done.
            OSError: likewise; a TimeoutError where it took too long.
        """
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        connection = None
        try:
            async with asyncio.timeout(self._timeout):
                connection = self._connection or await self._opened()
                packed = connection.pack_commands(commands)
                self._waiting.append((len(commands), future))
                await connection.send_packed_command(packed, check_health=False)
                answers = await future
        except asyncio.CancelledError:
            if connection and connection is self._connection and self._overdue is None:
                self._overdue = asyncio.create_task(self._watch(connection), name="watch-redis")
            raise
        except TimeoutError:
            if connection and connection is self._connection:
                await self.close()  # what it still owes would come too late
            raise
        for answer in answers:
            if isinstance(answer, RedisError):
                raise answer
        return answers

    async def close(self) -> None:
        """Close it; who waits is told so."""
        connection, receiver = self._connection, self._receiver
        self._lose(LostError("the connection was closed"))
        for task in (self._opening, receiver, self._overdue):
            if task and task is not asyncio.current_task():
                task.cancel()
        if connection:
            await connection.disconnect(nowait=True)

    async def _watch(self, connection: AbstractConnection) -> None:
        """Give the connection up if nothing comes in time, though whoever asked had less time than that."""
        answered = self._answered
        try:
            await asyncio.sleep(self._timeout)
            if connection is self._connection and self._waiting and answered == self._answered:
                await self.close()
        finally:
            self._overdue = None

    async def _opened(self) -> AbstractConnection:
        """Opened by all who wait for it together: one who leaves, as at a deadline, ends nothing."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="open-redis")
            self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._opening)

    async def _open(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        # The limit is around the whole; one of redis-py's around each write costs a task.
        connection.socket_timeout = None
        try:
            async with asyncio.timeout(self._timeout):
                await connection.connect()  # type: ignore[no-untyped-call]
            self._connection = connection
            self._receiver = asyncio.create_task(self._receive(connection), name="redis")
            return connection
        finally:
            self._opening = None

    async def _receive(self, connection: AbstractConnection) -> None:
        answers: list[Any] = []
        while True:
            try:
                answers.append(await connection.read_response(timeout=math.inf))
            except ResponseError as refusal:
                answers.append(refusal)
            except (RedisError, OSError) as error:
                if connection is self._connection:
                    self._lose(error)
                return
            count, future = self._waiting[0]
            if len(answers) == count:
                self._waiting.popleft()
                self._answered += 1
                if not future.done():  # whoever asked may have left
                    future.set_result(answers)
                answers = []

    def _lose(self, error: Exception) -> None:
        self._connection = self._receiver = None
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)
                future.exception()  # no complaint where whoever asked has another error already
