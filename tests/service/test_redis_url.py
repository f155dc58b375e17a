"""The stores on a Redis Cluster, behind a Sentinel, and over TLS; all of them real."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.cluster import RedisCluster

from model_export.contract.bundle import Bundle
from service.errors import StartError, StoreError
from service.stores.connection import Connection
from service.stores.histories import Event, HistoryStore, Interaction
from service.stores.rate_limits import RateLimits
from service.stores.recommendations import RecommendationStore, Served
from tests.service.conftest import running_shop
from tests.service.redis_servers import client, follow, free_ports, join, server, wait_for

USERS = [f"user-{number}" for number in range(30)]
CLUSTERED = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """The ports of three nodes that share the slots."""
    folder, ports = tmp_path_factory.mktemp("cluster"), free_ports(3)
    with ExitStack() as stack:
        for port in ports:
            stack.enter_context(server(folder / str(port), port, *CLUSTERED))
        join(ports)
        yield ports


def event(item: str, event_id: str | None = None) -> Event:
    return Event(Interaction(item, 1, "view"), event_id)


async def use_everything(connection: Connection) -> None:
    """Whatever the service asks of Redis, for users in all parts of a cluster."""
    histories = HistoryStore(connection, cap=5, ttl=60, event_id_ttl=60)
    records = RecommendationStore(connection, ttl=60)
    for item in ("old", "a"):
        await histories.replace([(user, [Interaction(item, 1)]) for user in USERS])
    for user in USERS:
        assert await histories.append(user, [event("b", "1"), event("c")]) == 2
        assert await histories.append(user, [event("b", "1")]) == 0
        assert [stored.item_id for stored in await histories.read(user)] == ["a", "b", "c"]
        await records.put(f"r-{user}", b"{}", Served("m", "fast", ["a"]), user)
        assert await records.get(f"r-{user}") == b"{}"
    clicks = [(f"r-{user}", "a") for user in USERS]
    assert len(await records.click(clicks)) == len(USERS)
    assert await records.click(clicks) == []
    limits = RateLimits(connection, rate=0.001, burst=1)
    for user in USERS:
        assert await limits.take(user) == 0
        assert await limits.take(user) > 0
    for user in USERS:
        await records.erase(user)
        await histories.erase(user)
        assert await histories.read(user) == []
        assert await records.get(f"r-{user}") is None
    await connection.ping()


def test_a_cluster_does_everything_and_spreads_it(cluster: list[int]) -> None:
    async def run() -> None:
        connection = Connection(f"redis+cluster://127.0.0.1:{cluster[1]}", 20, 8)
        await use_everything(connection)
        store = HistoryStore(connection, cap=5, ttl=None, event_id_ttl=60)
        await asyncio.gather(*(store.append(user, [event("a", "1")]) for user in USERS * 2))
        await connection.close()

    asyncio.run(run())
    held = [[key for key in client(port).scan_iter() if "history" in key] for port in cluster]
    assert sum(map(len, held)) == len(USERS)
    assert all(held)
    for port, keys in zip(cluster, held, strict=True):
        assert [client(port).llen(key) for key in keys] == [1] * len(keys)


def test_the_whole_service_runs_on_a_cluster(shop: Bundle, cluster: list[int]) -> None:
    url = f"redis+cluster://127.0.0.1:{cluster[0]},127.0.0.1:{cluster[2]}"
    with running_shop(shop, url, event_stream="events", rate_limit=1000) as service:
        sent = {"user_id": "u-1", "item_id": "lens", "event_id": "e-1"}
        assert service.post("/events", json={"events": [sent]}).json()["accepted"] == 1
        producer = RedisCluster(port=cluster[1], host="127.0.0.1")
        later = sent | {"item_id": "bag", "event_id": "e-2"}
        producer.xadd("events", {"event": json.dumps(later)})
        producer.close()
        wait_for(lambda: len(service.get("/users/u-1/history").json()["events"]), 2)
        answer = service.post("/recommend", json={"user_id": "u-1"}).json()
        assert not answer["degraded"]
        assert service.get(f"/explain/{answer['recommendation_id']}").status_code == 200
        assert service.delete("/users/u-1").status_code == 204
        assert service.get("/users/u-1/history").json()["events"] == []


@pytest.mark.filterwarnings("ignore:Unclosed ClusterNode:ResourceWarning")
def test_a_cluster_goes_on_with_the_node_that_took_over(tmp_path: Path) -> None:
    *masters, replica = ports = free_ports(4)

    async def run(lost: subprocess.Popen[bytes]) -> None:
        connection = Connection(f"redis+cluster://127.0.0.1:{masters[1]}", 20, 8)
        store = HistoryStore(connection, cap=5, ttl=None, event_id_ttl=60)

        async def goes_on() -> bool:
            try:
                for user in USERS:
                    await store.append(user, [event("b", "2")])
                await connection.ping()
            except StoreError:
                return False
            return True

        for user in USERS:
            await store.append(user, [event("a", "1")])
        wait_for(lambda: client(replica).dbsize() == client(masters[0]).dbsize() > 0, True)
        lost.kill()
        lost.wait()
        client(replica).execute_command("CLUSTER FAILOVER", "TAKEOVER")
        wait_for(lambda: client(replica).role()[0], "master")
        for _ in range(50):
            if await goes_on():
                break
            await asyncio.sleep(0.1)
        for user in USERS:
            assert [stored.item_id for stored in await store.read(user)] == ["a", "b"]
        await connection.close()

    with ExitStack() as stack:
        first, *_ = [
            stack.enter_context(server(tmp_path / str(port), port, *CLUSTERED)) for port in ports
        ]
        join(masters)
        follow(replica, masters)
        asyncio.run(run(first))
    gc.collect()  # to which redis-py leaves whatever nodes it asked for the topology


def test_a_sentinel_names_the_server_that_took_over(tmp_path: Path) -> None:
    first, second, sentinel = free_ports(3)
    config = tmp_path / "sentinel" / "sentinel.conf"
    config.parent.mkdir()
    config.write_text(
        f"sentinel monitor shop 127.0.0.1 {first} 1\n"
        "sentinel down-after-milliseconds shop 500\n"
        "sentinel failover-timeout shop 2000\n"
    )

    async def append(item: str) -> None:
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel}/shop/0"
        connection = Connection(url, 20, 8)
        store = HistoryStore(connection, cap=5, ttl=None, event_id_ttl=60)
        await store.append("u", [event(item)])
        assert [stored.item_id for stored in await store.read("u")][-1] == item
        await connection.close()

    with (
        server(tmp_path / "first", first) as master,
        server(tmp_path / "second", second, "--replicaof", "127.0.0.1", first),
        server(tmp_path / "sentinel", sentinel, config, "--sentinel"),
    ):
        asyncio.run(append("a"))
        wait_for(lambda: client(second).llen("streamrec:{u}:history"), 1)
        wait_for(lambda: len(client(sentinel).sentinel_slaves("shop")), 1)
        master.kill()
        wait_for(lambda: client(second).role()[0], "master")
        wait_for(lambda: client(sentinel).sentinel_masters()["shop"]["port"], second)
        asyncio.run(append("b"))
        assert client(second).llen("streamrec:{u}:history") == 2


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_an_encrypted_connection_is_checked(tmp_path: Path) -> None:
    """Real TLS in front of a real server, which may have been built without."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", "key.pem", "-out", "cert.pem",
        ],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    (port,) = free_ports(1)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while part := await source.read(65536):
                sink.write(part)
                await sink.drain()
            sink.close()

        await asyncio.gather(copy(reader, back), copy(there, writer))

    async def run() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        listening = await asyncio.start_server(
            relay, "localhost", 0, ssl=context, family=socket.AF_INET
        )
        address = f"localhost:{listening.sockets[0].getsockname()[1]}"
        trusting = Connection(f"rediss://{address}/0?ssl_ca_certs={tmp_path / 'cert.pem'}", 20, 8)
        await use_everything(trusting)
        await trusting.close()
        strict = Connection(f"rediss://{address}/0", 20, 8)
        with pytest.raises(StoreError):
            await strict.ping()
        await strict.close()
        listening.close()

    with server(tmp_path / "redis", port):
        asyncio.run(run())


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "redis+x://localhost",
        "redis+sentinel://localhost",
        "localhost",
        "redis://localhost:port",
    ],
)
def test_a_wrong_url_is_named(url: str) -> None:
    with pytest.raises(StartError, match="REDIS_URL is no address of Redis; write redis://"):
        Connection(url, 1, 1)


@pytest.mark.parametrize("scheme", ["redis", "unix", "redis+cluster", "redis+sentinel"])
def test_an_unknown_option_is_named(scheme: str) -> None:
    with pytest.raises(StartError, match=r"REDIS_URL has an option .* 'pasword'"):
        Connection(f"{scheme}://localhost/shop?pasword=hunter2", 1, 1)
