"""`streamrec load-histories`: the past of all users, into Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from streamrec.options import ConfigFile, InteractionsFile, RedisFolder, RedisUrl

if TYPE_CHECKING:
    from service.settings import Settings
    from streamrec.histories import UserHistory

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
    name are left alone. Events of weight 0 (STREAMREC_EVENT_WEIGHTS) enter no history.

    \b
    Examples:
      streamrec load-histories --interactions events.csv
      streamrec load-histories --interactions events.csv --redis-url redis://localhost:6379/0
    """
    from service.embedded_redis import embedded_redis
    from service.event_weights import EventWeights
    from streamrec.console import remark
    from streamrec.histories import counting, histories_of
    from streamrec.service_settings import service_settings
    from training.args import load_config
    from training.data.formats import check_file, read_table
    from training.data.interactions import interactions_of

    data = load_config(config).data
    check_file(interactions)
    with nullcontext(redis_url) if redis_url else embedded_redis(redis_folder) as url:
        settings = service_settings(bundle=Path(), redis_url=url)  # no bundle is read
        weights = EventWeights.parse(settings.event_weights)

        def histories() -> Iterator[UserHistory]:
            table = interactions_of(
                read_table(interactions),
                min_rating=data.min_rating,
                event_types=data.event_types,
                keep_types=True,
            )
            for user, history in histories_of(table.frame):
                yield user, counting(history, weights, settings.history_cap)

        users = asyncio.run(_store(histories(), settings))
    where = "" if redis_url else f" in {redis_folder}, from where `streamrec serve` reads them"
    remark(f"stored the histories of {users:,} users{where}")


async def _store(histories: Iterator[UserHistory], settings: Settings) -> int:
    """Store all histories, the first of which is asked for once Redis answers; returns how many.

    Raises:
        StartError: Redis does not answer, or refuses; says where it should be.
    """
    from redis.exceptions import AuthenticationError, ResponseError

    from service.errors import StartError, StoreError
    from service.stores.connection import Connection
    from service.stores.histories import HistoryStore
    from service.stores.redis_url import shown
    from streamrec.console import progress_bars

    assert settings.redis_url
    url = settings.redis_url.get_secret_value()
    connection = Connection(url, timeout=30, max_connections=1)
    store = HistoryStore(
        connection, settings.history_cap, settings.history_ttl, settings.event_id_ttl
    )
    users = 0
    try:
        await connection.ping()
        with progress_bars() as bars:
            task = bars.add_task("users", total=None)
            while part := list(islice(histories, USERS_AT_ONCE)):
                await store.replace(part)
                users += len(part)
                bars.update(task, completed=users)
    except StoreError as error:
        refused = isinstance(error.__cause__, ResponseError | AuthenticationError)
        raise StartError(
            f"Redis at {shown(url)} {f'refuses: {error.__cause__}' if refused else 'does not answer'}; start "
            "it, correct --redis-url (or REDIS_URL), or give none, which starts a Redis of our own; then "
            f"load again ({users:,} users were stored)"
        ) from error
    finally:
        await connection.close()
    return users
