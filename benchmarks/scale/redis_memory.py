"""Bytes that Redis holds of each user, for histories of several lengths.

python -m benchmarks.scale.redis_memory --users 20000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from redis import Redis

from service.embedded_redis import embedded_redis
from service.stores.connection import Connection
from service.stores.histories import Event, HistoryStore, Interaction

LENGTHS = (5, 20, 50, 200)


def main() -> None:
    """Print one line for each length, without and with the ids of the user's last event."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale.redis_memory", description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    users = parser.parse_args().users
    with tempfile.TemporaryDirectory() as folder, embedded_redis(Path(folder) / "redis") as url:
        for length in LENGTHS:
            asyncio.run(_measure(url, users, length))


async def _measure(url: str, users: int, length: int) -> None:
    connection = Connection(url, timeout=120, max_connections=8)
    await connection.redis.flushall()
    store = HistoryStore(connection, cap=200, ttl=None, event_id_ttl=86_400)
    empty = _memory(url)
    names = [f"user-{number:08d}" for number in range(users)]
    for begin in range(0, users, 500):
        await store.replace(
            (
                name,
                [Interaction(f"SKU-{n:06d}", 1_700_000_000_000 + n, "view") for n in range(length)],
            )
            for name in names[begin : begin + 500]
        )
    histories = _memory(url)
    for begin in range(0, users, 64):
        await asyncio.gather(
            *(
                store.append(name, [Event(Interaction("SKU-000001", 1, "view"), f"event-{name}")])
                for name in names[begin : begin + 64]
            )
        )
    known = _memory(url)
    await connection.close()
    found = {
        "events": length,
        "bytes per user": round((histories - empty) / users),
        "more with one event id": round((known - histories) / users),
    }
    print(json.dumps(found), flush=True)


def _memory(url: str) -> int:
    used: int = Redis.from_url(url).info("memory")["used_memory"]
    return used


if __name__ == "__main__":
    main()
