"""What followed what since training, counted in Redis for all workers and replicas.

    streamrec:{memory:H}:memory:ID   zset   follower id → Σ 1 / gap within `window` events
    streamrec:{memory:H}:wide:ID     zset   Σ gap ** -wide_fading within `wide_window` events
    streamrec:{memory:H}:events      zset   item id → events
    streamrec:{memory:H}:versions    zset   item id → version of its last change, which only grows
    streamrec:{memory:H}:marks       zset   see marks.py

Counts fade with a half-life of H days. In place of every stored count shrinking, new ones weigh more
and more, and whoever reads divides by what a count weighs now (forward decay, Cormode et al. 2009).
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from model_export.contract.config import EvidenceConfig
from service.stores.connection import Connection
from service.stores.marks import LEAVE, Position, new_mark, newest

_EPOCH = 1_767_225_600
"""2026-01-01, when a count weighed 1."""
_DAY = 86_400
_SENT_AT_ONCE = 50
_READ_AT_ONCE = 10
"""Items in one call, which has little time, and each of which may have a thousand followers twice."""
_KEPT_HALF_LIVES = 8
"""After this time without an event an item's followers are forgotten."""
_UNSENT = 20_000
"""Items that may wait to be sent; while Redis is away, what comes on top is lost."""

_LEARN = """
local versions, events, prefix = KEYS[1], KEYS[2], ARGV[1]
local followers, items, ttl = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local time = redis.call('TIME')
local last = redis.call('ZREVRANGE', versions, 0, 0, 'WITHSCORES')[2]
local version = math.max(time[1] * 1000000 + time[2], tonumber(last or 0))
for id, learnt in pairs(cjson.decode(ARGV[2])) do
  version = version + 1
  if learnt[1] ~= '0' then redis.call('ZINCRBY', events, learnt[1], id) end
  for place, window in ipairs({'memory', 'wide'}) do
    local key = prefix .. window .. ':' .. id
    for follower, weight in pairs(learnt[place + 1]) do
      redis.call('ZINCRBY', key, weight, follower)
    end
    redis.call('ZREMRANGEBYRANK', key, 0, -followers - 1)
    redis.call('EXPIRE', key, ttl)
  end
  redis.call('ZADD', versions, string.format('%.0f', version), id)
end
local over = redis.call('ZCARD', versions) - items
if over > 0 then
  local gone = redis.call('ZPOPMIN', versions, over)
  for place = 1, #gone, 2 do
    redis.call('ZREM', events, gone[place])
    redis.call('DEL', prefix .. 'memory:' .. gone[place], prefix .. 'wide:' .. gone[place])
  end
end
leave_mark(KEYS[3], version, ARGV[6])
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ttl) end
"""


@dataclass(frozen=True)
class Followers:
    """What is known of one item.

    Attributes:
        events: how many it had.
        by_window: counts by follower id, for "memory" and "wide".
    """

    events: float
    by_window: dict[str, dict[str, float]]


@dataclass
class _Learnt:
    events: int = 0
    by_window: dict[str, dict[str, float]] = field(
        default_factory=lambda: {"memory": defaultdict(float), "wide": defaultdict(float)}
    )


class MemoryStore:
    """Counts in Redis. What is learnt waits here until `send`.

    Args:
        connection: where they are.
        half_life: days in which a count fades to half.
        followers: followers kept of each item, the most frequent.
        items: items of which followers are kept, those with the latest events.
    """

    def __init__(
        self, connection: Connection, half_life: float, followers: int, items: int
    ) -> None:
        self._connection = connection
        self._half_life = half_life * _DAY
        self._bounds = followers, items, int(_KEPT_HALF_LIVES * self._half_life)
        self._prefix = f"streamrec:{{memory:{half_life:g}}}:"
        self._versions, self._events, self._marks = (
            f"{self._prefix}{name}" for name in ("versions", "events", "marks")
        )
        self._learn = connection.redis.register_script(LEAVE + _LEARN)
        self._unsent: dict[str, _Learnt] = defaultdict(_Learnt)

    def learn(self, before: Sequence[str], new: Sequence[str], windows: EvidenceConfig) -> None:
        """Count what `new` items of one user follow.

        Args:
            before: the user's items until then, oldest first; the last `wide_window` matter.
            new: the items of new events, in order.
            windows: how many events apart one item still follows another.
        """
        sequence = [*before, *new]
        for place in range(len(before), len(sequence)):
            item = sequence[place]
            if len(self._unsent) >= _UNSENT and item not in self._unsent:
                continue
            self._unsent[item].events += 1
            for gap in range(1, min(windows.wide_window, place) + 1):
                source = sequence[place - gap]
                if source == item:
                    continue
                learnt = self._unsent[source].by_window
                learnt["wide"][item] += gap**-windows.wide_fading
                if gap <= windows.window:
                    learnt["memory"][item] += 1 / gap

    async def send(self) -> None:
        """Add what was learnt to what Redis holds.

        Raises:
            StoreError: Redis does not answer; what was being sent may be lost, the rest is kept.
        """
        scale = self._scale()
        while self._unsent:
            part = [self._unsent.popitem() for _ in range(min(_SENT_AT_ONCE, len(self._unsent)))]
            body = {
                item: [
                    repr(learnt.events * scale) if learnt.events else "0",
                    *(
                        {follower: repr(count * scale) for follower, count in counts.items()}
                        for counts in learnt.by_window.values()
                    ),
                ]
                for item, learnt in part
            }
            followers, items, ttl = self._bounds
            async with self._connection.calls():
                await self._learn(
                    keys=[self._versions, self._events, self._marks],
                    args=[self._prefix, json.dumps(body), followers, items, ttl, new_mark()],
                )

    async def since(
        self, read: Position | None, limit: int
    ) -> tuple[Position, dict[str, Followers]]:
        """At most `limit` items whose counts changed since one has read so far, oldest change first.

        Raises:
            LostDataError: some of what was read is not there any more.
            StoreError: Redis does not answer.
        """
        latest = await newest(self._connection, self._marks, self._versions, read)
        version = read.version if read else 0.0
        if latest.version == version:
            return latest, {}
        async with self._connection.calls() as redis:
            found = await redis.zrangebyscore(
                self._versions, f"({version:.0f}", "+inf", start=0, num=limit, withscores=True
            )
        learnt: dict[str, Followers] = {}
        for start in range(0, len(found), _READ_AT_ONCE):
            part = [item for item, _ in found[start : start + _READ_AT_ONCE]]
            learnt |= await self._followers(part)
        return Position(found[-1][1] if found else latest.version, latest.mark), learnt

    async def _followers(self, items: list[bytes]) -> dict[str, Followers]:
        async with (
            self._connection.calls() as redis,
            redis.pipeline(transaction=False) as pipe,
        ):
            for item in items:
                pipe.zscore(self._events, item)
                for window in ("memory", "wide"):
                    key = f"{self._prefix}{window}:{item.decode()}"
                    pipe.zrange(key, 0, -1, withscores=True)
            answers = await pipe.execute()
        scale = self._scale()
        return {
            item.decode(): Followers(
                (answers[3 * place] or 0) / scale,
                {
                    window: {follower.decode(): count / scale for follower, count in counts}
                    for window, counts in zip(
                        ("memory", "wide"), answers[3 * place + 1 : 3 * place + 3], strict=True
                    )
                },
            )
            for place, item in enumerate(items)
        }

    def _scale(self) -> float:
        return float(2 ** ((time.time() - _EPOCH) / self._half_life))
