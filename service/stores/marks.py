"""Marks that writers leave, by which a reader tells that Redis has lost something that it had read.

A version alone does not tell: what is written after a loss is newer than all that was lost.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from service.stores.connection import Connection

_KEPT = 10_000
"""Marks; a reader that is further behind reads everything again."""

LEAVE = f"""
local function leave_mark(key, version, mark)
  redis.call('ZADD', key, string.format('%.0f', version), mark)
  redis.call('ZREMRANGEBYRANK', key, 0, -{_KEPT + 1})
end
"""
"""Lua: to be called by a script with each version that it writes and a mark of `new_mark`."""


class LostDataError(Exception):
    """Redis does not hold any more what has been read from it; read everything again."""


@dataclass(frozen=True)
class Position:
    """How far something has been read.

    Attributes:
        version: of the last change that was read.
        mark: the newest one when it was read; empty where there was none.
    """

    version: float = 0.0
    mark: bytes = b""


def new_mark() -> str:
    """A mark that nobody has left before."""
    return uuid.uuid4().hex


async def newest(
    connection: Connection, marks: str, versions: str, read: Position | None
) -> Position:
    """How far one can read now.

    Args:
        connection: where they are.
        marks: key of the marks.
        versions: key of the versions.
        read: how far the caller has read; None for not at all.

    Raises:
        LostDataError: what was read is not there any more.
        StoreError: Redis does not answer.
    """
    mark = await _newest_mark(connection, marks, read)
    async with connection.calls() as redis:
        last = await redis.zrange(versions, -1, -1, withscores=True)
    version = last[0][1] if last else 0.0
    if read and version < read.version:
        raise LostDataError
    return Position(version, mark)


async def _newest_mark(connection: Connection, key: str, read: Position | None) -> bytes:
    """The mark that was left last; empty where there is none."""
    async with connection.calls() as redis:
        last: list[Any] = await redis.zrange(key, -1, -1)
        mark: bytes = last[0] if last else b""
        if read is None or mark == read.mark:
            return mark
        if read.mark and await redis.zscore(key, read.mark) is None:
            raise LostDataError
    return mark
