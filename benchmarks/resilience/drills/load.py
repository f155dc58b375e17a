"""More than the service can do: overload, slow clients, crowds, long histories, and a long day."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterable
from contextlib import suppress

from benchmarks.resilience.client import (
    Answer,
    Http,
    Request,
    at_rate,
    by_clients,
    count,
    percentile,
    recommending,
)
from benchmarks.resilience.drill import Finding, World, drill
from benchmarks.resilience.processes import RedisServer, Service

ITEMS = 1_500


def _saturation(port: int) -> float:
    """Answers a second that a crowd of clients gets at most."""

    async def measure() -> float:
        http = Http(port)
        await by_clients(http, recommending(ITEMS), 16, 1)
        answers = await by_clients(http, recommending(ITEMS), 16, 4)
        http.close()
        return count(answers, lambda answer: answer.status == 200) / 4

    return asyncio.run(measure())


def _load(port: int, rate: float, seconds: float) -> list[Answer]:
    async def send() -> list[Answer]:
        http = Http(port)
        answers = await at_rate(http, recommending(ITEMS), rate, seconds)
        http.close()
        return answers

    return asyncio.run(send())


@drill(
    "overload",
    "three times as many requests as the service can answer",
    "the excess gets an immediate 503 with Retry-After, the admitted requests keep their p99 within twice "
    "that at full load, memory stays flat, normal within 5 s",
)
def overload(world: World) -> Finding:
    with (
        RedisServer(world.folder / "redis") as server,
        Service(world.folder, world.bundles[0], server.url) as service,
    ):
        most = _saturation(service.port)
        normal = percentile(_load(service.port, 0.9 * most, 6), 99)
        before = service.memory_mb()
        crowd = _load(service.port, 3 * most, 8)
        grown = service.memory_mb() - before
        admitted = [answer for answer in crowd if answer.status == 200]
        refused = [answer for answer in crowd if answer.status == 503]
        recovery = next(
            (
                second
                for second in range(1, 11)
                if percentile(_load(service.port, most / 2, 1), 99) <= 2 * normal
            ),
            99,
        )
    slow = percentile(admitted, 99)
    odd = len(crowd) - len(admitted) - len(refused)
    hints = all("retry-after" in answer.headers for answer in refused)
    refusal = percentile(refused, 50)
    return Finding(
        odd == 0 and hints and slow <= 2 * normal and grown < 50 and recovery <= 5,
        f"saturation {most:.0f}/s; at 90 % p99 {normal:.0f} ms; at 300 % {len(admitted) / 8:.0f}/s "
        f"admitted with p99 {slow:.0f} ms, {len(refused) / len(crowd):.0%} refused (median "
        f"{refusal:.0f} ms), {odd} lost; memory {grown:+.0f} MB; normal within {recovery} s",
        {
            "saturation_per_s": round(most, 1),
            "normal_p99_ms": normal,
            "admitted_p99_ms": slow,
            "ratio": round(slow / normal, 2),
            "admitted": len(admitted),
            "refused": len(refused),
            "refusal_p50_ms": refusal,
            "refusal_p99_ms": percentile(refused, 99),
            "failed": odd,
            "memory_growth_mb": round(grown, 1),
            "recovered_in_s": recovery,
        },
    )


@drill(
    "slow-clients",
    "1,000 clients that send one byte and then nothing, and 200 whose body dribbles in",
    "the others are served; slow heads and bodies are cut off after 10 s",
)
def slow_clients(world: World) -> Finding:
    with (
        RedisServer(world.folder / "redis") as server,
        Service(world.folder, world.bundles[0], server.url) as service,
    ):
        before = service.descriptors()
        sockets = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(1_200)]
        head = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\nX-API-Key: "
        for place, each in enumerate(sockets):
            each.sendall(b"G" if place < 1_000 else head + service.key + b"\r\n\r\n{")
        held, deadline = 0, time.monotonic() + 10
        while held < 1_200 and time.monotonic() < deadline:
            held = max(held, service.descriptors() - before)
            time.sleep(0.05)
        answers = _load(service.port, 20, 5)
        deadline = time.monotonic() + 20
        while service.descriptors() > before + 20 and time.monotonic() < deadline:
            time.sleep(0.2)
        left = service.descriptors() - before
        for each in sockets:
            each.close()
    served = count(answers, lambda answer: answer.status == 200)
    return Finding(
        # A few descriptors of its own come and go meanwhile.
        held >= 1_190 and served == len(answers) and left <= 20,
        f"{held} slow connections held; {served} of {len(answers)} other requests answered, p99 "
        f"{percentile(answers, 99):.0f} ms; {left} slow connections left afterwards",
        {"held": held, "served": served, "asked": len(answers), "left": left},
    )


@drill(
    "1000-connections",
    "1,000 connections that all ask at once, again and again",
    "every one gets an answer, 200 or 503; no connection is dropped, no descriptor leaks",
)
def connections(world: World) -> Finding:
    async def crowd(port: int) -> list[Answer]:
        http = Http(port, timeout=60)
        answers: list[Answer] = []
        source = iter(recommending(ITEMS))
        for _ in range(3):
            answers += await asyncio.gather(*(http.ask(*next(source)) for _ in range(1_000)))
        http.close()
        return answers

    with (
        RedisServer(world.folder / "redis") as server,
        Service(world.folder, world.bundles[0], server.url) as service,
    ):
        _load(service.port, 10, 1)
        before = service.descriptors()
        answers = asyncio.run(crowd(service.port))
        time.sleep(2)
        leaked = service.descriptors() - before - 64  # it keeps up to 64 connections to Redis
    good = count(answers, lambda answer: answer.status == 200)
    refused = count(answers, lambda answer: answer.status == 503)
    return Finding(
        good + refused == len(answers) and good > 0 and leaked <= 0,
        f"{good} answered, {refused} refused with 503, {len(answers) - good - refused} dropped of "
        f"{len(answers):,}; slowest {max(a.seconds for a in answers):.1f} s; no descriptor leaked"
        if leaked <= 0
        else f"{leaked} descriptors leaked",
        {"answered": good, "refused": refused, "sent": len(answers)},
    )


@drill(
    "long-histories",
    "inline histories of 10,000 items, the most that is accepted, and one more",
    "answered; 10,001 items are a 422; memory stays bounded",
)
def long_histories(world: World) -> Finding:
    async def ask(port: int) -> tuple[list[Answer], list[Answer], Answer]:
        http = Http(port)
        short = await by_clients(http, recommending(ITEMS), 1, 2)
        long = await by_clients(http, recommending(ITEMS, 10_000), 4, 5)
        over = await http.ask(*next(iter(recommending(ITEMS, 10_001))))
        http.close()
        return short, long, over

    with (
        RedisServer(world.folder / "redis") as server,
        Service(world.folder, world.bundles[0], server.url) as service,
    ):
        before = service.memory_mb()
        short, long, over = asyncio.run(ask(service.port))
        grown = service.memory_mb() - before
    good = count(long, lambda answer: answer.status == 200)
    return Finding(
        good == len(long) > 0 and over.status == 422 and grown < 100,
        f"{good} of {len(long)} answered, p50 {percentile(long, 50):.0f} ms with 4 at once (8 items, one "
        f"at once: {percentile(short, 50):.0f} ms); 10,001 items: {over.status}; memory {grown:+.0f} MB",
        {"answered": good, "p50_ms": percentile(long, 50), "memory_growth_mb": round(grown, 1)},
    )


@drill(
    "soak",
    "half of the load that it can bear, for as long as --soak-minutes says",
    "no failed request, bounded memory, no descriptor leak",
)
def soak(world: World) -> Finding:
    minutes = world.soak_minutes
    with (
        RedisServer(world.folder / "redis", "--maxmemory", "512mb") as server,
        Service(world.folder, world.bundles[0], server.url) as service,
    ):
        rate = _saturation(service.port) / 2
        _load(service.port, rate, 10)
        memory, descriptors = [service.memory_mb()], [service.descriptors()]
        failed = sent = 0
        slowest: list[float] = []
        part = minutes * 60 / 20
        for _ in range(20):
            answers = _mixed(service.port, rate, part)
            failed += count(answers, lambda answer: answer.status not in {200, 202})
            sent += len(answers)
            slowest.append(percentile(answers, 99))
            memory.append(service.memory_mb())
            descriptors.append(service.descriptors())
    # Growth of the second half: the first fills caches, pools and arenas.
    grown = memory[-1] - memory[10]
    leaked = max(descriptors[11:]) - max(descriptors[:11])
    return Finding(
        failed == 0 and grown < 20 and leaked <= 5,
        f"{minutes:g} min at {rate:.0f}/s: {sent:,} requests, {failed} failed, p99 "
        f"{min(slowest):.0f} – {max(slowest):.0f} ms; memory {memory[0]:.0f} → {memory[10]:.0f} → "
        f"{memory[-1]:.0f} MB; descriptors {descriptors[0]} → {descriptors[-1]}",
        {
            "minutes": minutes,
            "rate_per_s": round(rate, 1),
            "requests": sent,
            "failed": failed,
            "p99_ms": slowest,
            "memory_mb": [round(value, 1) for value in memory],
            "descriptors": descriptors,
        },
    )


def _mixed(port: int, rate: float, seconds: float) -> list[Answer]:
    """Recommendations for stored and inline histories, explanations, events, items.

    Never more at once than may wait: this is about a long day, also where the machine has other work.
    """

    def requests() -> Iterable[Request]:
        for number, inline in enumerate(recommending(ITEMS)):
            user = f"user-{number % 500}"
            event = {"user_id": user, "item_id": f"SKU-{number % ITEMS + 1:05}"}
            yield from (
                inline,
                ("POST", "/recommend", {"user_id": user}),
                ("POST", "/events", {"events": [{**event, "event_id": f"{time.time()}-{number}"}]}),
                (
                    "POST",
                    "/recommend",
                    {"user_id": user, "effort": "deep", "explain": number % 9 == 0},
                ),
                ("GET", f"/items/{event['item_id']}/similar", None),
            )

    async def send() -> list[Answer]:
        http = Http(port)
        with suppress(asyncio.CancelledError):
            answers = await at_rate(http, requests(), rate, seconds, at_once=16)
        http.close()
        return answers

    return asyncio.run(send())
