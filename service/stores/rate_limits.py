"""Rate limits that all workers and replicas share: the generic cell rate algorithm (GCRA).

Each client has one number in Redis, the time at which it will have used up what it took so far.
"""

from __future__ import annotations

import hashlib

from service.stores.connection import Connection

_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = math.max(now, tonumber(redis.call('GET', KEYS[1]) or now))
-- A clock that was set back must not lock anybody out.
due = math.min(due, now + burst * interval)
local wait = due - now - (burst - 1) * interval
if wait > 0.0000005 then return string.format('%.6f', wait) end
due = due + interval
redis.call('SET', KEYS[1], string.format('%.6f', due), 'PX', math.ceil((due - now) * 1000) + 1)
return '0'
"""


class RateLimits:
    """A rate for each client.

    Args:
        connection: where the limits are kept.
        rate: requests a second.
        burst: requests that may come at once.
    """

    def __init__(self, connection: Connection, rate: float, burst: int) -> None:
        self._connection = connection
        self._interval = 1 / rate
        self._burst = burst

    async def take(self, client: str) -> float:
        """Count one request of a client; 0, or the seconds after which it may come again.

        Raises:
            StoreError: Redis does not answer; nothing is known of the client.
        """
        name = hashlib.blake2b(client.encode(), digest_size=12).hexdigest()
        key = f"streamrec:rate:{name}"
        [wait] = await self._connection.ask(
            ("EVAL", _TAKE, 1, key, str(self._interval), str(self._burst))
        )
        return float(wait)
