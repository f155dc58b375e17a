"""`streamrec load-histories`: the past of all users, into Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from streamrec.options import ConfigFile, InteractionsFile, RedisFolder, RedisUrl

if TYPE_CHECKING:
    import polars as pl

    from service.settings import Settings
    from service.stores.histories import Interaction

USERS_AT_ONCE = 500
"""Users in one round trip to Redis."""


def load_histories(
    interactions: InteractionsFile,
    config: ConfigFile = None,
    redis_url: RedisUrl = None,
    redis_folder: RedisFolder = Path("redis"),
) -> None:
    """Put the history of every user of a file in place of what Redis holds of them.

    The configuration's [data] filters (min_rating, event_types) apply. Users that the file does not
    name are left alone.

    \b
    Examples:
      streamrec load-histories --interactions events.csv
      streamrec load-histories --interactions events.csv --redis-url redis://localhost:6379/0
    """
    from pydantic import SecretStr

    from service.embedded_redis import embedded_redis
    from service.settings import Settings
    from streamrec.console import remark
    from training.args import load_config
    from training.data.interactions import read_interactions

    data = load_config(config).data
    table = read_interactions(
        interactions, min_rating=data.min_rating, event_types=data.event_types
    )
    with nullcontext(redis_url) if redis_url else embedded_redis(redis_folder) as url:
        settings = Settings(bundle=Path(), redis_url=SecretStr(url))  # no bundle is read
        users = asyncio.run(_store(histories_of(table.frame), settings))
    remark(f"stored the histories of {users:,} users")


def histories_of(frame: pl.DataFrame) -> Iterator[tuple[str, list[Interaction]]]:
    """Every user's interactions, oldest first; those without a timestamp happened now."""
    import polars as pl

    from service.stores.histories import Interaction
    from training.data import columns

    if columns.TIMESTAMP not in frame.columns:
        frame = frame.with_columns(pl.lit(time.time()).alias(columns.TIMESTAMP))
    wanted = frame.sort(columns.TIMESTAMP, maintain_order=True).select(
        columns.USER_ID, columns.ITEM_ID, (pl.col(columns.TIMESTAMP) * 1000).cast(pl.Int64)
    )
    for (user,), rows in wanted.group_by(columns.USER_ID, maintain_order=True):
        _, item_ids, times = rows.get_columns()
        yield str(user), [Interaction(*pair) for pair in zip(item_ids, times, strict=True)]


async def _store(histories: Iterator[tuple[str, list[Interaction]]], settings: Settings) -> int:
    """Store all histories and return how many there were."""
    from service.stores.connection import Connection
    from service.stores.histories import HistoryStore
    from streamrec.console import progress_bars

    assert settings.redis_url
    connection = Connection(settings.redis_url.get_secret_value(), timeout=30, max_connections=1)
    store = HistoryStore(
        connection, settings.history_cap, settings.history_ttl, settings.event_id_ttl
    )
    users = 0
    with progress_bars() as bars:
        task = bars.add_task("users", total=None)
        while part := list(islice(histories, USERS_AT_ONCE)):
            await store.replace(part)
            users += len(part)
            bars.update(task, completed=users)
    await connection.close()
    return users
