"""Changes of items in Redis, which all workers and replicas follow.

streamrec:{items}:changes    hash   item id → its change
streamrec:{items}:versions   zset   item id → version of its last change, which only grows
streamrec:{items}:added      set    ids of items that were not in the bundle
streamrec:{items}:marks      zset   see marks.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from service.errors import ConflictError
from service.live.changes import Change
from service.stores.connection import Connection
from service.stores.marks import LEAVE, Position, new_mark, newest

_CHANGES, _VERSIONS, _ADDED, _MARKS = KEYS = tuple(
    f"streamrec:{{items}}:{name}" for name in ("changes", "versions", "added", "marks")
)
_AT_ONCE = 1_000
"""Changes that are read in one call."""
_TRIES = 10
_KEPT_SECONDS = 30 * 86_400
"""How long a change is kept of an item that no bundle in use has: an older one may be put back."""

log = structlog.get_logger("streamrec.live")

_WRITE = """
local id, before, after = ARGV[1], ARGV[2], ARGV[3]
if (redis.call('HGET', KEYS[1], id) or '') ~= before then return 'again' end
if ARGV[4] == '1' then
  if redis.call('SISMEMBER', KEYS[3], id) == 0
    and redis.call('SCARD', KEYS[3]) >= tonumber(ARGV[5]) then return 'full' end
  redis.call('SADD', KEYS[3], id)
end
if after == '' then
  redis.call('HDEL', KEYS[1], id)
  redis.call('SREM', KEYS[3], id)
else
  redis.call('HSET', KEYS[1], id, after)
end
local time = redis.call('TIME')
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local version = math.max(time[1] * 1000000 + time[2], tonumber(last or 0) + 1)
redis.call('ZADD', KEYS[2], string.format('%.0f', version), id)
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -tonumber(ARGV[6]) - 1)
leave_mark(KEYS[4], version, ARGV[7])
return 'written'
"""

_FORGET = """
for place = 2, #ARGV do
  local changed = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[place]) or 0)
  if changed < tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], ARGV[place])
    redis.call('ZREM', KEYS[2], ARGV[place])
  end
end
"""


@dataclass(frozen=True)
class Changes:
    """Changes since a position, in the order in which they were made.

    Attributes:
        position: with them read.
        items: the change of each item; None where it has been taken back.
    """

    position: Position
    items: dict[str, Change | None]


class ItemStore:
    """Changes of items in Redis.

    Args:
        connection: where they are.
        limit: items that may be added to those of the bundle.
    """

    def __init__(self, connection: Connection, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self._write = connection.redis.register_script(LEAVE + _WRITE)
        self._forget = connection.redis.register_script(_FORGET)

    async def change(
        self, item_id: str, decide: Callable[[Change | None], Change | None], *, added: bool
    ) -> None:
        """Store what `decide` makes of the change that is stored; None takes it back.

        Args:
            added: whether the bundle lacks the item.

        Raises:
            ConflictError: no more items may be added, or others change the item all the time.
            StoreError: Redis does not answer; whether anything was stored is unknown.
        """
        for _ in range(_TRIES):
            async with self._connection.calls() as redis:
                stored = await redis.hget(_CHANGES, item_id)
            after = decide(_load(item_id, stored))
            line = b"" if after is None else after.dump()
            counts = "1" if added and after is not None else "0"
            kept = max(100_000, 2 * self._limit)
            async with self._connection.calls():
                outcome = await self._write(
                    keys=KEYS,
                    args=[item_id, stored or b"", line, counts, self._limit, kept, new_mark()],
                )
            if outcome == b"written":
                return
            if outcome == b"full":
                raise ConflictError(
                    f"{self._limit} items have been added to those that were trained on, which is "
                    "the limit; delete some, or train again with all of them"
                )
        raise ConflictError("others are changing this item; try again")

    async def since(self, read: Position | None) -> Changes:
        """Changes made since one has read so far; all that there are for None.

        Raises:
            LostDataError: some of what was read is not there any more.
            StoreError: Redis does not answer.
        """
        position = await newest(self._connection, _MARKS, _VERSIONS, read)
        if position == read:
            return Changes(position, {})
        ids = await self._ids(read.version if read else 0)
        items: dict[str, Change | None] = {}
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            async with self._connection.calls() as redis:
                lines = await redis.hmget(_CHANGES, part)
            for item_id, line in zip(part, lines, strict=True):
                items[item_id.decode()] = _load(item_id.decode(), line)
        return Changes(position, items)

    async def absorb(self, item_ids: list[str]) -> None:
        """Count these items no longer as added: the bundle has them now.

        Raises:
            StoreError: Redis does not answer.
        """
        async with self._connection.calls() as redis:
            await redis.srem(_ADDED, *item_ids)

    async def forget(self, item_ids: Sequence[str]) -> None:
        """Drop the changes of items that are gone for good, unless they were made lately.

        Raises:
            StoreError: Redis does not answer.
        """
        oldest = (time.time() - _KEPT_SECONDS) * 1_000_000
        for start in range(0, len(item_ids), _AT_ONCE):
            async with self._connection.calls():
                await self._forget(
                    keys=KEYS, args=[f"{oldest:.0f}", *item_ids[start : start + _AT_ONCE]]
                )

    async def _ids(self, version: float) -> list[bytes]:
        """Ids of items changed after `version`, in order; those without a version first of all."""
        async with self._connection.calls() as redis:
            ids: list[Any] = await redis.zrangebyscore(_VERSIONS, f"({version:.0f}", "+inf")
        if version:
            return ids
        async with self._connection.calls() as redis:
            known = await redis.hkeys(_CHANGES)
        recent = set(ids)
        return [item_id for item_id in sorted(known) if item_id not in recent] + ids


def _load(item_id: str, stored: bytes | None) -> Change | None:
    """A stored change; one that cannot be read counts as none, and is said."""
    try:
        return Change.load(stored) if stored else None
    except ValueError:
        log.warning("a stored change cannot be read and is left out", item_id=item_id)
        return None
