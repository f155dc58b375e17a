"""From a URL to a client: one Redis, one that Sentinels watch over, or a Redis Cluster.

    redis://[[user]:password@]host[:port][/database]              unix:///path/to/socket
    redis+sentinel://[…@]host[:port][,host[:port] …]/service[/database]
    redis+cluster://[…@]host[:port][,host[:port] …]

rediss:// in place of redis:// encrypts; options such as ?ssl_ca_certs=/path are those of redis-py. User
and password are those of Redis; Sentinels are asked without.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from service.errors import StartError

# Both clients know the same commands, but redis-py gives them no common type.
AnyRedis = Any

_PORTS = {"cluster": 6379, "sentinel": 26379}


def open_redis(url: str, timeout: float) -> AnyRedis:
    """A client that connects when it is first used.

    Args:
        url: see above.
        timeout: seconds until a connection is given up; whoever asks limits how long an answer takes.

    Raises:
        StartError: the URL is not one of Redis.
    """
    limits: dict[str, Any] = {
        # With one redis-py sends through `asyncio.wait_for`, which in Python 3.11 swallows a cancellation, as
        # at a deadline or a shutdown, that comes as it finishes.
        "socket_timeout": None,
        "socket_connect_timeout": timeout,
        # A blind repeat of RPUSH could store an event twice.
        "retry": Retry(NoBackoff(), 0),
    }
    scheme, _, rest = url.partition("://")
    plain, _, kind = scheme.partition("+")
    try:
        if not kind:
            client = Redis.from_url(url, **limits)
            client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # reads the options
            return client
        addresses, options = _several(plain, rest, _PORTS[kind])
        options |= limits
        if kind == "cluster":
            options.pop("db", None)
            nodes = [ClusterNode(host, port) for host, port in addresses]
            return RedisCluster(startup_nodes=nodes, **options)
        service, _, database = str(options.pop("path")).strip("/").partition("/")
        options["db"] = int(database or 0)
        own = ("db", "username", "password")
        unlocked = {name: value for name, value in options.items() if name not in own}
        sentinel: Any = Sentinel  # which redis-py leaves without types
        return sentinel(addresses, sentinel_kwargs=unlocked, **options).master_for(service)
    except (ValueError, KeyError) as error:
        raise StartError(
            "REDIS_URL is no address of Redis; write redis://[[user]:password@]host[:port][/database], or "
            "one that begins with rediss://, unix://, redis+sentinel:// or redis+cluster://, see "
            "docs/scaling.md"
        ) from error
    except TypeError as error:
        raise StartError(
            f"REDIS_URL has an option that redis-py does not take: {str(error).rpartition(' ')[2]}"
        ) from error


def shown(url: str) -> str:
    """A URL as anybody may see it: without user, password and options."""
    scheme, _, rest = url.partition("?")[0].partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def watchers(client: AnyRedis) -> list[Redis]:
    """The clients of the Sentinels through which a client finds its server; to be closed after it."""
    pool = getattr(client, "connection_pool", None)
    manager: Sentinel | None = getattr(pool, "sentinel_manager", None)
    return manager.sentinels if manager else []


def _several(plain: str, rest: str, port: int) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """The addresses of a URL with several hosts, and what it says besides."""
    place, question, query = rest.partition("?")
    credentials, _, place = place.rpartition("@")
    hosts, _, path = place.partition("/")
    addresses = []
    for host in hosts.split(","):
        parsed = parse_url(f"{plain}://{host}")
        addresses.append((parsed["host"], int(parsed.get("port", port))))
    options: dict[str, Any] = dict(parse_url(f"{plain}://{credentials}@x{question}{query}"))
    for name in ("host", "port", "connection_class"):
        options.pop(name, None)
    if plain == "rediss":
        options["ssl"] = True
    if path:
        options["path"] = path
    return addresses, options
