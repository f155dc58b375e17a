"""The connection to Redis, its keys, and how its failures look to the rest of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.errors import StartError, StoreError


class Connection:
    """One Redis, with a time limit around whatever is asked of it.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        timeout: seconds until a block of calls is given up.
        max_connections: connections kept; a call waits for a free one within its time limit.
        on_error: called at each failure.

    Raises:
        StartError: the URL is not one of a Redis server.
    """

    def __init__(
        self,
        url: str,
        timeout: float,
        max_connections: int,
        on_error: Callable[[], None] = lambda: None,
    ) -> None:
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                timeout=timeout,
                max_connections=max_connections,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                # A blind repeat of RPUSH could store an event twice.
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise StartError("REDIS_URL must begin with redis://, rediss:// or unix://") from error
        self.redis: Redis = Redis.from_pool(pool)
        self._timeout = timeout
        self._on_error = on_error

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[Redis]:
        """A block of Redis calls with one time limit.

        Raises:
            StoreError: Redis refused, could not be reached, or took too long.
        """
        try:
            async with asyncio.timeout(self._timeout):
                yield self.redis
        except (RedisError, OSError) as error:
            self._on_error()
            raise StoreError("the history store does not answer") from error

    async def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            StoreError: there is none.
        """
        async with self.calls() as redis:
            pong: Any = redis.ping()
            await pong

    async def close(self) -> None:
        """Close every connection."""
        await self.redis.aclose()


def user_key(user_id: str, what: str) -> str:
    """Key of something of one user; all keys of a user lie in one slot of a Redis Cluster."""
    return f"streamrec:{{{quote(user_id, safe='')}}}:{what}"


def recommendation_key(recommendation_id: str, what: str) -> str:
    """Key of something of one recommendation; all of it lies in one slot of a Redis Cluster."""
    return f"streamrec:{{recommendation:{quote(recommendation_id, safe='')}}}:{what}"
