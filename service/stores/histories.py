"""User histories: one capped Redis list a user, oldest event first.

An event with an `event_id` is stored exactly once. One script looks for its id and writes both, with no
other writer between; Redis applies (and logs to disk) all of it or nothing, in one round trip. A caller who
got no answer sends the event again. An event without an id is stored each time it is sent.

Events that weigh nothing lie in a list of their own, so that they never crowd out the history.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.stores.connection import Connection, unlink, user_key

_EVENT_IDS_KEPT = 1_000
_LEARNT_FROM = 50
"""Events before a new one that may have led to it."""
_MANY = 10
"""Events for which a table of all ids is made; for fewer that takes Redis four times as long as to look."""
_APPEND = f"""
local cap, ttl, event_id_ttl = unpack(ARGV, 1, 3)
local before = redis.call('LRANGE', KEYS[1], -{_LEARNT_FROM}, -1)
local known, new, grown = {{}}, {{}}, {{}}
local few = #ARGV < {3 + 3 * _MANY}
if not few then
  for _, id in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do known[id] = true end
end
local function seen(id)
  if few then return redis.call('LPOS', KEYS[3], id) end
  return known[id]
end
local function push(list, value)
  redis.call('RPUSH', KEYS[list], value)
  grown[list] = true
end
for place = 4, #ARGV, 3 do
  local id, list, line = unpack(ARGV, place, place + 2)
  if id == '' or not seen(id) then
    push(tonumber(list), line)
    if id ~= '' then
      known[id] = true
      push(3, id)
    end
    new[#new + 1] = (place - 4) / 3
  end
end
local kept = {{cap, cap, {_EVENT_IDS_KEPT}}}
local seconds = {{ttl, ttl, event_id_ttl}}
for list in pairs(grown) do
  redis.call('LTRIM', KEYS[list], -kept[list], -1)
  if seconds[list] ~= '' then redis.call('EXPIRE', KEYS[list], seconds[list]) end
end
return {{before, new}}
"""
"""Lua; each event is its fingerprint or nothing, the list that it goes to, and its line."""


class Interaction(NamedTuple):
    """One event of a history.

    Attributes:
        item_id: external item id.
        at: Unix time in milliseconds.
        event_type: what kind of event it was, if that was said.
    """

    item_id: str
    at: int
    event_type: str | None = None


@dataclass(frozen=True)
class Event:
    """An interaction on its way into a history, or into the list beside it."""

    interaction: Interaction
    event_id: str | None = None
    beside: bool = False


class HistoryStore:
    """Histories in Redis.

    Args:
        connection: where they are.
        cap: most recent events kept of each user.
        ttl: seconds until the history of an inactive user is forgotten; None keeps it.
        event_id_ttl: seconds after a user's last event for which repeated ids are recognised.
        learn: told of new events of one user: the items before them and their own, oldest first.
    """

    def __init__(
        self,
        connection: Connection,
        cap: int,
        ttl: int | None,
        event_id_ttl: int,
        learn: Callable[[list[str], list[str]], None] | None = None,
    ) -> None:
        self._connection = connection
        self._cap = cap
        self._ttl = ttl
        self._event_id_ttl = event_id_ttl
        self._learn = learn

    async def append(self, user_id: str, events: Sequence[Event]) -> int:
        """Store events in the order given and return how many were new.

        Raises:
            StoreError: whether anything was stored is unknown; send the same events again.
        """
        described = [
            part
            for event in events
            for part in (_fingerprint(event), 1 + event.beside, _line(event.interaction))
        ]
        limits = (self._cap, "" if self._ttl is None else self._ttl, self._event_id_ttl)
        [(before, new)] = await self._connection.ask(
            ("EVAL", _APPEND, 3, *_keys(user_id), *limits, *described)
        )
        if self._learn:
            items = [events[place].interaction.item_id for place in new if not events[place].beside]
            self._learn([json.loads(line)[0] for line in before], items)
        return len(new)

    async def append_all(self, by_user: Mapping[str, Sequence[Event]]) -> int:
        """`append` for many users at once; nothing is being written any more when this ends.

        Raises:
            StoreError: whether anything was stored is unknown; send the same events again.
        """
        appending = (self.append(*entry) for entry in by_user.items())
        stored = 0
        for outcome in await asyncio.gather(*appending, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            stored += outcome
        return stored

    async def read(self, user_id: str, *, beside: bool = False) -> list[Interaction]:
        """The stored history, or the events beside it, oldest first; empty for an unknown user.

        Raises:
            StoreError: Redis does not answer.
        """
        key = _keys(user_id)[1 if beside else 0]
        [lines] = await self._connection.ask(("LRANGE", key, 0, -1))
        return [Interaction(*values) for values in json.loads(b"[%b]" % b",".join(lines))]

    async def replace(self, histories: Iterable[tuple[str, Sequence[Interaction]]]) -> None:
        """Put whole histories in place of what is stored, in one round trip.

        Raises:
            StoreError: some of them may not have been stored; do it again.
        """
        async with (
            self._connection.calls() as redis,
            redis.pipeline(transaction=False) as pipe,
        ):
            for user_id, interactions in histories:
                history, *others = _keys(user_id)
                unlink(pipe, history, *others)
                if interactions:
                    pipe.rpush(history, *map(_line, interactions[-self._cap :]))
                    pipe.ltrim(history, -self._cap, -1)
                    if self._ttl is not None:
                        pipe.expire(history, self._ttl)
            await pipe.execute()

    async def erase(self, user_id: str) -> None:
        """Forget the user's history, the events beside it and event ids.

        Raises:
            StoreError: Redis does not answer.
        """
        async with self._connection.calls() as redis:
            await redis.unlink(*_keys(user_id))


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def _keys(user_id: str) -> tuple[str, str, str]:
    return (
        user_key(user_id, "history"),
        user_key(user_id, "beside"),
        user_key(user_id, "event_ids"),
    )


def _line(interaction: Interaction) -> str:
    values = [interaction.item_id, interaction.at]
    if interaction.event_type is not None:
        values.append(interaction.event_type)
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _fingerprint(event: Event) -> bytes:
    """What is kept of an event's id; empty without one."""
    if event.event_id is None:
        return b""
    return hashlib.blake2b(event.event_id.encode(), digest_size=12).digest()
