"""Recorded recommendations: what can be explained and what clicks count for, until it expires."""

from __future__ import annotations

import json
import random
import time
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from service.stores.connection import Connection, recommendation_key, unlink, user_key
from service.stores.shared import Command

_PARTS = ("record", "clicked")
_TIDIED = 1 / 16
"""Share of a user's records at which the list of these drops what has expired."""


class Served(NamedTuple):
    """What a click on an answer counts for.

    Attributes:
        model_version: of the model that made the answer.
        effort: how long it thought.
        item_ids: what was recommended; anything else is no click.
    """

    model_version: str
    effort: str
    item_ids: list[str]


class RecommendationStore:
    """Records in Redis, each under its recommendation id.

    Args:
        connection: where they are.
        ttl: seconds for which a record is kept.
    """

    def __init__(self, connection: Connection, ttl: int) -> None:
        self._connection = connection
        self._ttl = ttl

    async def put(
        self, recommendation_id: str, record: bytes, served: Served, user_id: str | None
    ) -> None:
        """Keep a record; that of a user is found again by `erase`.

        Raises:
            StoreError: Redis does not answer; the record may be lost.
        """
        now = time.time()
        line = json.dumps(served, separators=(",", ":"))
        stored = zlib.compress(b"%b\n%b" % (line.encode(), record), 1)
        commands: list[Command] = [("SET", _keys(recommendation_id)[0], stored, "EX", self._ttl)]
        if user_id is not None:
            # Listed before it exists, so that erasure misses nothing after a crash.
            index = user_key(user_id, "recommendations")
            listing: list[Command] = [
                ("ZADD", index, str(now), recommendation_id),
                ("EXPIRE", index, self._ttl),
            ]
            if random.random() < _TIDIED:
                listing.append(("ZREMRANGEBYSCORE", index, "-inf", str(now - self._ttl)))
            commands = listing + commands
        await self._connection.ask(*commands)

    async def get(self, recommendation_id: str) -> bytes | None:
        """The record, or None where there is none (any more).

        Raises:
            StoreError: Redis does not answer.
        """
        [stored] = await self._connection.ask(("GET", _keys(recommendation_id)[0]))
        return None if stored is None else _parts(stored)[1]

    async def click(self, clicks: Iterable[tuple[str, str]]) -> list[Served]:
        """Note clicks and return what each new one counts for.

        Each recommended item of each answer is clicked at most once, by whichever replica notes it
        first. A click on an answer that is not recorded (any more), or on an item that it did not
        recommend, counts for nothing.

        Args:
            clicks: recommendation id and item id of each.

        Raises:
            StoreError: Redis does not answer; some of the clicks may be lost to the count.
        """
        distinct = list(dict.fromkeys(clicks))
        if not distinct:
            return []
        async with self._connection.calls() as redis:
            async with redis.pipeline(transaction=False) as pipe:
                for recommendation_id, _ in distinct:
                    pipe.get(_keys(recommendation_id)[0])
                found = [value and _parts(value)[0] for value in await pipe.execute()]
            known = [
                (recommendation_id, item_id, served)
                for (recommendation_id, item_id), served in zip(distinct, found, strict=True)
                if served and item_id in served.item_ids
            ]
            async with redis.pipeline(transaction=False) as pipe:
                for recommendation_id, item_id, _ in known:
                    clicked = _keys(recommendation_id)[1]
                    pipe.sadd(clicked, item_id)
                    pipe.expire(clicked, self._ttl)
                added = (await pipe.execute())[::2]
        return [served for (_, _, served), new in zip(known, added, strict=True) if new]

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
                unlink(pipe, *_keys(recommendation_id.decode()))
            unlink(pipe, index)
            await pipe.execute()


def _keys(recommendation_id: str) -> list[str]:
    """Where the record and the clicked items are."""
    return [recommendation_key(recommendation_id, part) for part in _PARTS]


def _parts(stored: bytes) -> tuple[Served, bytes]:
    """What was served, and the record, of what `put` stored."""
    line, _, record = zlib.decompress(stored).partition(b"\n")
    return Served(*json.loads(line)), record
