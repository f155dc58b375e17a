"""Recorded recommendations: what can still be explained, until it expires."""

from __future__ import annotations

import time
import zlib
from typing import Any

from service.stores.connection import Connection, recommendation_key, user_key


class RecommendationStore:
    """Records in Redis, each under its recommendation id.

    Args:
        connection: where they are.
        ttl: seconds for which a record is kept.
    """

    def __init__(self, connection: Connection, ttl: int) -> None:
        self._connection = connection
        self._ttl = ttl

    async def put(self, recommendation_id: str, record: bytes, user_id: str | None) -> None:
        """Keep a record; that of a user is found again by `erase`.

        Raises:
            StoreError: Redis does not answer; the record may be lost.
        """
        now = time.time()
        async with (
            self._connection.calls() as redis,
            redis.pipeline(transaction=False) as pipe,
        ):
            if user_id is not None:
                # Listed before it exists, so that erasure misses nothing after a crash.
                index = user_key(user_id, "recommendations")
                pipe.zremrangebyscore(index, "-inf", now - self._ttl)
                pipe.zadd(index, {recommendation_id: now})
                pipe.expire(index, self._ttl)
            pipe.set(recommendation_key(recommendation_id), zlib.compress(record, 1), ex=self._ttl)
            await pipe.execute()

    async def get(self, recommendation_id: str) -> bytes | None:
        """The record, or None where there is none (any more).

        Raises:
            StoreError: Redis does not answer.
        """
        async with self._connection.calls() as redis:
            stored: Any = redis.get(recommendation_key(recommendation_id))
            record: bytes | None = await stored
        return None if record is None else zlib.decompress(record)

    async def erase(self, user_id: str) -> None:
        """Forget every record of the user.

        Raises:
            StoreError: Redis does not answer; some may be left.
        """
        index = user_key(user_id, "recommendations")
        async with (
            self._connection.calls() as redis,
            redis.pipeline(transaction=False) as pipe,
        ):
            listed: Any = redis.zrange(index, 0, -1)
            for recommendation_id in await listed:
                pipe.unlink(recommendation_key(recommendation_id.decode()))
            pipe.unlink(index)
            await pipe.execute()
