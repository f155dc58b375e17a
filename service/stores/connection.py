"""The connection to Redis, its keys, and how its failures look to the rest of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import quote

from redis.exceptions import RedisClusterException, RedisError

from service.errors import StoreError
from service.stores.redis_url import AnyRedis, open_redis, watchers
from service.stores.shared import Command, SharedConnection


class Connection:
    """One Redis, or one Redis Cluster, with a time limit around whatever is asked of it.

    Args:
        url: see `redis_url.open_redis`.
        timeout: seconds until a block of calls is given up.
        max_connections: blocks of calls at a time; a further one waits within its time limit.
        on_error: called at each failure.

    Raises:
        StartError: the URL is not one of Redis.
    """

    def __init__(
        self,
        url: str,
        timeout: float,
        max_connections: int,
        on_error: Callable[[], None] = lambda: None,
    ) -> None:
        self.redis = open_redis(url, timeout)
        self._free = asyncio.Semaphore(max_connections)
        self._timeout = timeout
        self._on_error = on_error
        pool = getattr(self.redis, "connection_pool", None)  # a cluster has one for each node
        self._shared = SharedConnection(pool, timeout) if pool else None

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[AnyRedis]:
        """A block of Redis calls with one time limit.

        Raises:
            StoreError: Redis refused, could not be reached, or took too long.
        """
        with self._failures():
            async with asyncio.timeout(self._timeout), self._free:
                yield self.redis

    async def ask(self, *commands: Command) -> list[Any]:
        """The answers to some commands, with one time limit; but for a cluster in one round trip.

        Raises:
            StoreError: as `calls`; some of the commands may be done.
        """
        if self._shared is None:
            # One by one: a cluster pipeline that fails never looks for who took over the slot.
            async with self.calls() as redis:
                return [await redis.execute_command(*command) for command in commands]
        with self._failures():
            return await self._shared.ask(commands)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, RedisClusterException, OSError) as error:
            self._on_error()
            raise StoreError("the history store does not answer") from error

    async def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            StoreError: there is none.
        """
        await self.ask(("PING",))

    async def close(self) -> None:
        """Close every connection."""
        if self._shared:
            await self._shared.close()
        for client in (self.redis, *watchers(self.redis)):
            await client.aclose()


def unlink(pipe: Any, *keys: str) -> None:
    """Add the deletion of keys of one slot to a pipeline.

    A cluster pipeline's own `unlink` would run apart from the pipeline.
    """
    pipe.execute_command("UNLINK", *keys)


def user_key(user_id: str, what: str) -> str:
    """Key of something of one user; all keys of a user lie in one slot of a Redis Cluster."""
    return f"streamrec:{{{quote(user_id, safe='')}}}:{what}"


def recommendation_key(recommendation_id: str, what: str) -> str:
    """Key of something of one recommendation; all of it lies in one slot of a Redis Cluster."""
    return f"streamrec:{{recommendation:{quote(recommendation_id, safe='')}}}:{what}"
