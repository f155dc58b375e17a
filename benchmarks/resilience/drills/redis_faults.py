"""Redis fails in every way it knows while the service is asked: who notices, and for how long."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.resilience.client import Answer, Http, percentile
from benchmarks.resilience.drill import Finding, SkippedError, World, drill
from benchmarks.resilience.processes import RedisServer, Service, slow_wire

PROMISE = (
    "`/recommend` answers every time, `degraded` where the history is out of reach; `/events` says 503 "
    "with Retry-After, never a false yes; back to normal within 2 s"
)
USERS = 20
REDIS_TIMEOUT = 0.5
BOUND = 2 * REDIS_TIMEOUT + 0.5
"""Seconds that a fault may cost /recommend at worst: it reads a history and records its answer."""


@dataclass
class Observed:
    """What a client saw while Redis was in trouble, and until it was well again."""

    recommended: list[Answer] = field(default_factory=list)
    inline: list[Answer] = field(default_factory=list)
    events: list[Answer] = field(default_factory=list)
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    recovery: float | None = None
    calm: list[Answer] = field(default_factory=list)


async def observe(
    service: Service,
    fault: Callable[[], object],
    heal: Callable[[], object],
    seconds: float = 3.0,
) -> Observed:
    """Ask at a steady pace while `fault` lasts, `heal`, and time the way back."""
    http, seen = Http(service.port), Observed()
    for user in range(USERS):
        await _event(http, seen, user, 0)
    calm = Observed(acknowledged=seen.acknowledged)
    number = await _pace(http, calm, 1.5, 0)
    seen.calm = calm.recommended + calm.inline
    seen.events.clear()
    await asyncio.to_thread(fault)
    number = await _pace(http, seen, seconds, number)
    await asyncio.to_thread(heal)
    healed = time.monotonic()
    while time.monotonic() < healed + 30:
        number += 1
        user = number % USERS
        recovered = await _event(http, Observed(acknowledged=seen.acknowledged), user, number)
        answer = await http.ask("POST", "/recommend", {"user_id": f"user-{user}"})
        if recovered.status == 202 and not answer.json["degraded"]:
            seen.recovery = time.monotonic() - healed
            break
        await asyncio.sleep(0.02)
    http.close()
    return seen


async def _pace(http: Http, seen: Observed, seconds: float, number: int) -> int:
    """Ask at a steady pace; returns the number of the last round."""
    ends = time.monotonic() + seconds
    tasks: list[asyncio.Task[None]] = []
    while time.monotonic() < ends:
        number += 1
        tasks.append(asyncio.create_task(_ask_all(http, seen, number)))
        await asyncio.sleep(0.1)
    await asyncio.gather(*tasks)
    return number


async def _event(http: Http, seen: Observed, user: int, number: int) -> Answer:
    name = f"e-{user}-{number}"
    item = f"SKU-{number % 900 + 1:05}"
    event = {"event_id": name, "user_id": f"user-{user}", "item_id": item}
    answer = await http.ask("POST", "/events", {"events": [event]})
    seen.events.append(answer)
    if answer.status == 202:
        seen.acknowledged.setdefault(f"user-{user}", []).append(item)
    return answer


async def _ask_all(http: Http, seen: Observed, number: int) -> None:
    user = number % USERS
    asked = {"user_id": f"user-{user}", "effort": "fast"}
    inline = {"history": ["SKU-00001", "SKU-00016"], "effort": "fast"}
    stored, given, _ = await asyncio.gather(
        http.ask("POST", "/recommend", asked),
        http.ask("POST", "/recommend", inline),
        _event(http, seen, user, number),
    )
    seen.recommended.append(stored)
    seen.inline.append(given)


def judged(seen: Observed, stored: dict[str, list[str]], *, writes_fail: bool = True) -> Finding:
    """Hold what was seen against the promise.

    Args:
        stored: item ids that Redis holds of each user afterwards.
        writes_fail: whether no event may be acknowledged during the fault.
    """
    asked = seen.recommended + seen.inline
    failed = sum(answer.status != 200 for answer in asked)
    degraded = sum(answer.json["degraded"] for answer in asked if answer.status == 200)
    refused = [answer for answer in seen.events if answer.status == 503]
    yes = sum(answer.status == 202 for answer in seen.events)
    odd = len(seen.events) - len(refused) - yes
    without_hint = sum("retry-after" not in answer.headers for answer in refused)
    lost = sum(
        item not in stored.get(user, [])
        for user, items in seen.acknowledged.items()
        for item in items
    )
    slowest = max(answer.seconds for answer in asked)
    held = (
        failed == odd == without_hint == lost == 0
        and slowest <= BOUND + max(answer.seconds for answer in seen.calm)
        and seen.recovery is not None
        and seen.recovery <= 2
        and not (writes_fail and yes)
    )
    recovery = "never" if seen.recovery is None else f"{seen.recovery:.2f} s"
    figure = (
        f"{len(asked) - failed} of {len(asked)} recommendations answered ({degraded} degraded), "
        f"p99 {percentile(asked, 99):.0f} ms (before: {percentile(seen.calm, 99):.0f}); "
        f"{len(refused)} events refused, {yes} acknowledged, "
        f"{lost} of them lost; recovered in {recovery}"
    )
    details = {
        "recommendations": len(asked),
        "failed": failed,
        "degraded": degraded,
        "p50_ms": percentile(asked, 50),
        "p99_ms": percentile(asked, 99),
        "calm_p99_ms": percentile(seen.calm, 99),
        "slowest_ms": round(slowest * 1000, 1),
        "events_refused": len(refused),
        "events_acknowledged": yes,
        "acknowledged_but_lost": lost,
        "recovery_s": seen.recovery,
    }
    return Finding(held, figure, details)


def histories(server: RedisServer, password: str | None = None) -> dict[str, list[str]]:
    """Item ids that Redis holds of each user."""
    with server.client(password) as client:
        found = {}
        for user in range(USERS):
            lines = client.lrange(f"streamrec:{{user-{user}}}:history", 0, -1)
            found[f"user-{user}"] = [line.decode().split('"')[1] for line in lines]
    return found


def _drill(
    world: World,
    fault: Callable[[RedisServer], object],
    heal: Callable[[RedisServer], object],
    *options: str,
    writes_fail: bool = True,
    keeps_data: bool = True,
) -> Finding:
    with (
        RedisServer(world.folder / "redis", *options) as server,
        Service(world.folder, world.bundles[0], server.url) as service,
    ):
        seen = asyncio.run(observe(service, lambda: fault(server), lambda: heal(server)))
        if not keeps_data:
            seen.acknowledged = {}
        return judged(seen, histories(server), writes_fail=writes_fail)


APPEND = ("--appendonly", "yes", "--appendfsync", "always")


@drill("redis-killed", "Redis killed with -9, started again with its data", PROMISE)
def killed(world: World) -> Finding:
    return _drill(world, RedisServer.kill, RedisServer.start, *APPEND)


@drill("redis-emptied", "Redis killed and started again without its data", PROMISE)
def emptied(world: World) -> Finding:
    return _drill(world, RedisServer.kill, RedisServer.start, keeps_data=False)


@drill("redis-paused", "Redis paused (SIGSTOP), then continued", PROMISE)
def paused(world: World) -> Finding:
    # What was sent before the pause may be stored after it, unacknowledged: allowed, and sent again.
    return _drill(
        world,
        lambda server: server.signal(signal.SIGSTOP),
        lambda server: server.signal(signal.SIGCONT),
    )


@drill(
    "redis-full",
    "Redis full (`maxmemory` with noeviction)",
    PROMISE + "; histories are still read",
)
def full(world: World) -> Finding:
    def fill(server: RedisServer) -> None:
        with server.client() as client:
            client.config_set("maxmemory", "1")

    def make_room(server: RedisServer) -> None:
        with server.client() as client:
            client.config_set("maxmemory", "0")

    return _drill(world, fill, make_room)


@drill(
    "redis-read-only",
    "Redis becomes a read-only replica, then the primary again",
    PROMISE + "; histories are still read",
)
def read_only(world: World) -> Finding:
    with RedisServer(world.folder / "primary") as primary:

        def demote(server: RedisServer) -> None:
            with server.client() as client, primary.client() as other:
                for key in client.scan_iter():  # else the replica forgets what the primary lacks
                    other.restore(key, 0, client.dump(key), replace=True)
                client.replicaof("127.0.0.1", primary.port)
                while client.info("replication")["master_link_status"] != "up":
                    time.sleep(0.05)

        def promote(server: RedisServer) -> None:
            with server.client() as client:
                client.replicaof("NO", "ONE")

        return _drill(world, demote, promote)


@drill("redis-password", "Redis starts to demand a password that the service lacks", PROMISE)
def password(world: World) -> Finding:
    def demand(server: RedisServer) -> None:
        with server.client() as client:
            client.config_set("requirepass", "another")
            client.client_kill_filter(_type="normal", skipme=True)

    def relent(server: RedisServer) -> None:
        with server.client("another") as client:
            client.config_set("requirepass", "")

    return _drill(world, demand, relent)


@drill(
    "redis-slow",
    "every answer of Redis 200 ms late",
    "`/recommend` answers every time and in bounded time; an event is stored or refused",
)
def slow(world: World) -> Finding:
    with (
        RedisServer(world.folder / "redis") as server,
        slow_wire(server.port) as wire,
        Service(world.folder, world.bundles[0], f"redis://127.0.0.1:{wire.port}/0") as service,
    ):
        seen = asyncio.run(
            observe(
                service,
                lambda: setattr(wire, "delay", 0.2),
                lambda: setattr(wire, "delay", 0.0),
            )
        )
        return judged(seen, histories(server), writes_fail=False)


@drill(
    "redis-tls",
    "Redis over TLS; then its certificate is one that the service does not trust",
    "works over `rediss://`; never talks to a server that it cannot verify: " + PROMISE,
)
def tls(world: World) -> Finding:
    folder = world.folder / "redis"
    folder.mkdir()
    _certificates(folder)
    shutil.copy(folder / "ca.pem", folder / "trusted.pem")
    options = (
        *("--tls-cert-file", str(folder / "server.pem")),
        *("--tls-key-file", str(folder / "server.key")),
        *("--tls-ca-cert-file", str(folder / "ca.pem"), "--tls-auth-clients", "no", *APPEND),
    )
    server = RedisServer(folder, *options, tls=True)
    url = server.url.replace("ca.pem", "trusted.pem")

    def renew() -> None:
        server.kill()
        _certificates(folder)
        server.start()

    def restore() -> None:
        server.kill()
        shutil.copytree(folder / "first", folder, dirs_exist_ok=True)
        server.start()

    names = ("ca.pem", "server.pem", "server.key")
    (folder / "first").mkdir()
    for name in names:
        shutil.copy(folder / name, folder / "first" / name)
    with server, Service(world.folder, world.bundles[0], url) as service:
        seen = asyncio.run(observe(service, renew, restore))
        return judged(seen, histories(server))


def _certificates(folder: Path) -> None:
    """A new authority and a certificate of it for 127.0.0.1."""
    if not shutil.which("openssl"):
        raise SkippedError("needs openssl")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    extension = "subjectAltName=IP:127.0.0.1"
    key = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=drill")
    openssl(
        *("req", *key[:3], "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=redis"),
        *("-addext", extension),
    )
    (folder / "extension").write_text(extension)
    openssl(
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-days", "2", "-out", "server.pem", "-extfile", "extension"),
    )
