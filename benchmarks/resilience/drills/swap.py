"""Another model takes over under load, and bad ones try to."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.resilience.client import Answer, Http, count, percentile, recommending
from benchmarks.resilience.drill import Finding, World, drill
from benchmarks.resilience.processes import RedisServer, Service, until

QUESTION = {"history": ["SKU-00001", "SKU-00016", "SKU-00400"], "count": 20}


def place(source: Path, target: Path) -> None:
    """Put a bundle where the service looks, as the export does: beside it, then by rename."""
    fresh, old = target.with_name(".fresh"), target.with_name(".old")
    shutil.copytree(source, fresh)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def version(bundle: Path) -> str:
    """The model that a bundle holds."""
    return str(json.loads((bundle / "manifest.json").read_text())["model_version"])


def _expected(world: World, url: str) -> dict[str, list[str]]:
    """What each model alone answers to the question."""
    found = {}
    for number, bundle in enumerate(world.bundles):
        with Service(world.folder / f"alone-{number}", bundle, url) as service:
            answer = asyncio.run(Http(service.port).ask("POST", "/recommend", QUESTION)).json
            found[answer["model_version"]] = [item["item_id"] for item in answer["items"]]
    return found


def _under_load(service: Service, change: Callable[[], None]) -> tuple[list[Answer], list[Answer]]:
    """Answers to the question before and while `change` runs."""

    async def ask() -> tuple[list[Answer], list[Answer]]:
        http, answers = Http(service.port), []
        calm_ends = time.monotonic() + 3
        changing: asyncio.Task[None] | None = None

        async def client() -> None:
            while changing is None or not changing.done():
                answers.append(await http.ask("POST", "/recommend", QUESTION))
                await asyncio.sleep(0.02)

        clients = [asyncio.create_task(client()) for _ in range(4)]
        await asyncio.sleep(calm_ends - time.monotonic())
        changing = asyncio.create_task(asyncio.to_thread(change))
        await asyncio.gather(changing, *clients)
        http.close()
        calm = [answer for answer in answers if answer.at < calm_ends]
        return calm, answers[len(calm) :]

    return asyncio.run(ask())


@drill(
    "swap",
    "the model is replaced ten times under load, by `POST /admin/reload` and by its path alone, two workers",
    "no failed request, no answer of mixed models",
)
def swap(world: World) -> Finding:
    target = world.folder / "bundle"
    place(world.bundles[0], target)
    with RedisServer(world.folder / "redis") as server:
        expected = _expected(world, server.url)
        with Service(world.folder, target, server.url, workers=2, bundle_poll=0.5) as service:

            def change() -> None:
                for number in range(10):
                    wanted = world.bundles[(number + 1) % 2]
                    place(wanted, target)
                    if number % 2:
                        asyncio.run(Http(service.port).ask("POST", "/admin/reload"))
                    _await_everywhere(service, version(wanted))

            calm, changing = _under_load(service, change)
    answers = calm + changing
    failed = count(answers, lambda answer: answer.status != 200)
    mixed = count(
        (answer for answer in answers if answer.status == 200),
        lambda answer: (
            [item["item_id"] for item in answer.json["items"]]
            != expected[answer.json["model_version"]]
        ),
    )
    used = {answer.json["model_version"] for answer in answers if answer.status == 200}
    differ = len({tuple(items) for items in expected.values()}) == 2
    return Finding(
        failed == mixed == 0 and len(used) == 2 and differ,
        f"10 swaps, {len(answers):,} requests: {failed} failed, {mixed} mixed; p99 "
        f"{percentile(calm, 99):.0f} ms before, {percentile(changing, 99):.0f} ms while swapping",
        {
            "requests": len(answers),
            "failed": failed,
            "mixed": mixed,
            "calm_p99_ms": percentile(calm, 99),
            "swapping_p99_ms": percentile(changing, 99),
        },
    )


def _await_everywhere(service: Service, wanted: str) -> None:
    """Wait until fresh connections, which any worker may take, meet one model only."""

    async def seen() -> set[str]:
        versions = set()
        for _ in range(12):
            http = Http(service.port)
            versions.add((await http.ask("GET", "/readyz")).json.get("model_version"))
            http.close()
        return versions

    until(lambda: asyncio.run(seen()) == {wanted}, 30, f"model {wanted}")


def _flip(bundle: Path) -> None:
    file = bundle / "tables" / "item_vectors.npy"
    content = bytearray(file.read_bytes())
    content[-7] ^= 1
    file.write_bytes(content)


def _truncate(bundle: Path) -> None:
    os.truncate(bundle / "graphs" / "think.onnx", 1_000)


def _say(bundle: Path, **changes: object) -> None:
    file = bundle / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "one flipped byte": (_flip, "differs from its checksum"),
    "a truncated ONNX file": (_truncate, "differs from its checksum"),
    "a newer format": (lambda bundle: _say(bundle, format_version=99), "has format 99"),
    "never verified": (lambda bundle: _say(bundle, verified=False), "never verified"),
    "no bundle at all": (shutil.rmtree, "is not a bundle"),
}


@drill(
    "swap-refused",
    "a bundle with one flipped byte, a truncated ONNX file, a newer format, an unverified one, none at all",
    "refused; the old model stays, and `/readyz` and the log say why; nobody notices",
)
def refused(world: World) -> Finding:
    target, bad = world.folder / "bundle", world.folder / "bad"
    place(world.bundles[0], target)
    said: dict[str, bool] = {}
    with (
        RedisServer(world.folder / "redis") as server,
        Service(world.folder, target, server.url) as service,
    ):

        def change() -> None:
            for name, (spoil, reason) in BAD.items():
                shutil.rmtree(bad, ignore_errors=True)
                shutil.copytree(world.bundles[1], bad)
                spoil(bad)
                if bad.exists():
                    place(bad, target)
                else:
                    shutil.rmtree(target)
                answer = asyncio.run(Http(service.port).ask("POST", "/admin/reload"))
                ready = asyncio.run(Http(service.port).ask("GET", "/readyz"))
                said[name] = (
                    answer.status == 409
                    and ready.status == 200
                    and reason in ready.json["problems"][0]
                    and reason in service.log()
                    and str(world.folder) not in ready.body.decode()
                )

        calm, changing = _under_load(service, change)
    answers = calm + changing
    failed = count(answers, lambda answer: answer.status != 200)
    versions = {answer.json["model_version"] for answer in answers if answer.status == 200}
    good = sum(said.values())
    return Finding(
        failed == 0 and good == len(BAD) and versions == {version(world.bundles[0])},
        f"{good} of {len(BAD)} refused with their reason; {len(answers):,} requests meanwhile, {failed} "
        "failed, all answered by the old model",
        {"refused": said, "requests": len(answers), "failed": failed},
    )


@drill(
    "sigterm",
    "SIGTERM under load",
    "stops accepting, finishes what runs within `STREAMREC_DRAIN_SECONDS`, exits 0",
)
def sigterm(world: World) -> Finding:
    codes, took, cut, asked = [], [], 0, 0
    with RedisServer(world.folder / "redis") as server:
        for number, workers in enumerate((1, 1, 2, 2)):
            folder = world.folder / f"try-{number}"
            with Service(folder, world.bundles[0], server.url, workers=workers) as service:
                answers, code, seconds = asyncio.run(_ended_under_load(service))
            codes.append(code)
            took.append(seconds)
            asked += len(answers)
            cut += count(answers, lambda answer: answer.status == 0)
    return Finding(
        set(codes) == {0} and cut == 0,
        f"{len(codes)} services: exit codes {sorted(set(codes))}, {cut} of {asked} running requests cut "
        f"off, ended within {max(took):.1f} s",
        {"exit_codes": codes, "running": asked, "cut": cut, "seconds": took},
    )


async def _ended_under_load(service: Service) -> tuple[list[Answer], int, float]:
    """Answers to requests that had begun before SIGTERM, the exit code, and how long it took."""
    http = Http(service.port)
    source = iter(recommending(1_500))
    await asyncio.gather(*(http.ask(*next(source)) for _ in range(8)))  # connections are open
    running = [asyncio.create_task(http.ask(*next(source))) for _ in range(8)]
    await asyncio.sleep(0.02)
    began = time.monotonic()
    code = await asyncio.to_thread(service.stop)
    seconds = time.monotonic() - began
    answers = list(await asyncio.gather(*running))
    http.close()
    return answers, code, seconds
