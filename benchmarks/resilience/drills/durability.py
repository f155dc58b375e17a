"""Acknowledged events after a crash: every one is there, none twice, in the order of each user."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import redis

from benchmarks.resilience.client import Http
from benchmarks.resilience.drill import Finding, World, drill
from benchmarks.resilience.processes import RedisServer, Service, until

PROMISE = (
    "every acknowledged event is there afterwards, none twice, each user's in order of arrival"
)
WRITERS = 8
CRASHES = 3
KEPT = {"history_cap": 1_000_000, "redis_timeout": 2}


@dataclass
class Ledger:
    """What was acknowledged, by user and in order."""

    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    refused: int = 0

    def compare(self, server: Callable[[], redis.Redis], crashes: int) -> Finding:
        """Hold what Redis has against it."""
        lost = doubled = disordered = 0
        with server() as client:
            for user, items in self.acknowledged.items():
                lines = client.lrange(f"streamrec:{{{user}}}:history", 0, -1)
                stored = [line.decode().split('"')[1] for line in lines]
                lost += len(set(items) - set(stored))
                doubled += sum(times - 1 for times in Counter(stored).values())
                places = {item: place for place, item in enumerate(stored)}
                found = [places[item] for item in items if item in places]
                disordered += found != sorted(found)
        total = sum(map(len, self.acknowledged.values()))
        return Finding(
            total > 0 and not (lost or doubled or disordered),
            f"{total:,} events acknowledged over {crashes} crashes, {self.refused} tries refused: "
            f"{lost} lost, {doubled} twice, {disordered} users out of order",
            {
                "acknowledged": total,
                "refused_tries": self.refused,
                "lost": lost,
                "doubled": doubled,
                "users_out_of_order": disordered,
                "crashes": crashes,
            },
        )


async def write(ports: list[int], ledger: Ledger, crash: Callable[[], object]) -> None:
    """Several writers send events one by one, each until it is acknowledged, while `crash` runs."""
    crashed = asyncio.create_task(asyncio.to_thread(crash))

    async def writer(number: int) -> None:
        user = f"writer-{number}"
        done = ledger.acknowledged.setdefault(user, [])
        doors = [Http(port, timeout=5) for port in ports]
        count = 0
        while not crashed.done():
            item = f"SKU-{number}-{count}"
            event = {"event_id": f"e-{item}", "user_id": user, "item_id": item}
            for attempt in range(1_000):
                door = doors[(count + attempt) % len(doors)]
                answer = await door.ask("POST", "/events", {"events": [event]})
                if answer.status == 202:
                    done.append(item)
                    break
                ledger.refused += 1
                await asyncio.sleep(0.05)
            count += 1

    await asyncio.gather(crashed, *(writer(number) for number in range(WRITERS)))


def _redis_crashes(world: World, fsync: str) -> Finding:
    ledger = Ledger()
    options = ("--appendonly", "yes", "--appendfsync", fsync)
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(world.folder / "redis", *options))
        replicas = [
            stack.enter_context(
                Service(world.folder / name, world.bundles[0], server.url, workers=2, **KEPT)
            )
            for name in ("replica-1", "replica-2")
        ]

        def crash() -> None:
            for _ in range(CRASHES):
                time.sleep(1.5)
                server.kill()
                time.sleep(0.3)
                server.start()
            time.sleep(1)

        asyncio.run(write([replica.port for replica in replicas], ledger, crash))
        return ledger.compare(server.client, CRASHES)


@drill(
    "durable-always",
    "Redis killed with -9 under constant load, `appendfsync always`, two replicas of two workers",
    PROMISE,
)
def always(world: World) -> Finding:
    return _redis_crashes(world, "always")


@drill("durable-everysec", "the same with `appendfsync everysec`", PROMISE)
def everysec(world: World) -> Finding:
    # Redis writes its log before it answers and only syncs it later: a killed server loses nothing, a
    # power cut the last second.
    return _redis_crashes(world, "everysec")


@drill(
    "service-killed",
    "the service killed with -9 under constant load, its own Redis with it",
    PROMISE,
)
def service_killed(world: World) -> Finding:
    ledger = Ledger()
    service = Service(world.folder, world.bundles[0], None, **KEPT)
    with service:

        def crash() -> None:
            for _ in range(CRASHES):
                time.sleep(1.5)
                service.kill()
                service.start()
            time.sleep(1)

        asyncio.run(write([service.port], ledger, crash))
        service.kill()
    with RedisServer(service.folder / "redis", "--appendonly", "yes") as server:
        return ledger.compare(server.client, CRASHES)


@drill(
    "embedded-redis-killed",
    "the service's own Redis killed with -9 under constant load",
    PROMISE + "; it is started again within 2 s",
)
def embedded(world: World) -> Finding:
    ledger, gaps = Ledger(), []
    service = Service(world.folder, world.bundles[0], None, **KEPT)
    with service:

        def crash() -> None:
            for _ in range(CRASHES):
                time.sleep(1.5)
                address = next(
                    part.removeprefix("unixsocket:")
                    for part in service.redis_command().split()
                    if part.startswith("unixsocket:")
                )

                def client(address: str = address) -> redis.Redis:
                    return redis.Redis(unix_socket_path=address)

                def answers() -> bool:
                    with suppress(redis.RedisError), client() as asked:
                        return bool(asked.ping())
                    return False

                service.kill_redis()
                gaps.append(until(answers, 20, "the embedded Redis"))
            time.sleep(1)

        asyncio.run(write([service.port], ledger, crash))
        service.kill()
    with RedisServer(service.folder / "redis", "--appendonly", "yes") as server:
        finding = ledger.compare(server.client, CRASHES)
    finding.held &= max(gaps) <= 2
    finding.figure += f"; answered again after {max(gaps):.2f} s at most"
    finding.details["gaps_s"] = [round(gap, 3) for gap in gaps]
    return finding
