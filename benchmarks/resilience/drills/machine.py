"""The machine misbehaves: full disks, read-only folders, clocks that jump."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.resilience.client import Http, by_clients, count, recommending
from benchmarks.resilience.drill import Finding, SkippedError, World, drill
from benchmarks.resilience.processes import RedisServer, Service, run, until
from tests.tiny_shop import write_tiny_shop

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own with so much room."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        raise SkippedError("needs root, to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _finding(tell: dict[str, bool], what: str) -> Finding:
    """All that was looked at held, or what of it did not."""
    good = sum(tell.values())
    wrong = ", ".join(name for name, held in tell.items() if not held)
    not_held = f"; not: {wrong}" if wrong else ""
    return Finding(good == len(tell), f"{good} of {len(tell)} {what}{not_held}", {"checks": tell})


def _one_sentence(said: str) -> bool:
    return "error: " in said.splitlines()[-1] and "Traceback" not in said


@drill(
    "disk-full",
    "the disk fills up during `train`, during `export`, and under the service's own Redis",
    "one sentence and exit code 1, no half-written file stays in place, and the same command goes on once "
    "there is room; `/events` refuses, `/recommend` answers, and both recover by themselves",
)
def disk_full(world: World) -> Finding:
    write_tiny_shop(world.folder)
    tell: dict[str, bool] = {}
    with disk(world.folder / "small", "64m") as small:
        filler = small / "filler"

        def fill(left_kb: int) -> None:
            room = os.statvfs(small)
            filler.write_bytes(b"\0" * (room.f_bavail * room.f_frsize - left_kb * 1024))

        train = [
            *("train", "--interactions", world.folder / "interactions.csv"),
            *("--items", world.folder / "items.csv", "--config", world.folder / "config.toml"),
            *("--threads", 1, "--run", small / "run"),
        ]
        fill(200)
        ended = run(train)
        tell["train says so"] = ended.returncode == 1 and _one_sentence(ended.stderr)
        filler.unlink()
        tell["train goes on"] = run(train).returncode == 0
        fill(100)
        export = ["export", small / "run", "--bundle", small / "bundle"]
        ended = run(export)
        tell["export says so"] = ended.returncode == 1 and _one_sentence(ended.stderr)
        tell["no torn bundle"] = not (small / "bundle").exists()
        filler.unlink()
        tell["export goes on"] = run(export).returncode == 0
        tell |= asyncio.run(_service_on(world, small / "redis", fill, filler))
    return _finding(tell, "checks hold")


async def _service_on(world: World, folder: Path, fill: object, filler: Path) -> dict[str, bool]:
    """The service's own Redis on a disk that fills up and gets room again."""
    tell = {}
    assert callable(fill)
    with Service(world.folder, world.bundles[0], None, redis_folder=folder) as service:
        http = Http(service.port)

        async def event(number: int) -> int:
            event = {"event_id": str(number), "user_id": "u", "item_id": "x" * 200}
            return (await http.ask("POST", "/events", {"events": [event]})).status

        tell["an event is stored"] = await event(0) == 202
        fill(0)
        statuses = {await event(number) for number in range(1, 200)}
        tell["events are refused"] = statuses <= {202, 503} and 503 in statuses
        answers = await by_clients(http, recommending(1_500), 2, 1)
        tell["recommendations go on"] = count(answers, lambda a: a.status == 200) == len(answers)
        filler.unlink()
        began = time.monotonic()
        while await event(1_000) != 202 and time.monotonic() < began + 20:
            await asyncio.sleep(0.05)
        tell["events recover within 2 s"] = time.monotonic() - began <= 2
        http.close()
    return tell


@drill(
    "read-only",
    "folders that cannot be written: of the run, of the bundle, of the service's own Redis; and a bundle "
    "on a read-only disk",
    "one sentence that names the folder; a service needs no write access to its bundle",
)
def read_only(world: World) -> Finding:
    write_tiny_shop(world.folder)
    tell: dict[str, bool] = {}
    with disk(world.folder / "disk", "64m") as frozen:
        subprocess.run(["cp", "-r", world.bundles[0], frozen / "bundle"], check=True)
        subprocess.run(["mount", "-o", "remount,ro", str(frozen)], check=True)
        shop = world.folder
        commands: dict[str, list[object]] = {
            "train": [
                *("train", "--interactions", shop / "interactions.csv", "--config"),
                *(shop / "config.toml", "--run", frozen / "run", "--threads", 1),
            ],
            "export": [
                *("export", world.trained, "--bundle", frozen / "b"),
            ],
            "serve": [
                *("serve", "--bundle", frozen / "bundle", "--redis-folder", frozen / "redis"),
            ],
        }
        for name, command in commands.items():
            ended = run(command)
            tell[name] = (
                ended.returncode == 1
                and _one_sentence(ended.stderr)
                and str(frozen) in ended.stderr
                and "Read-only" in ended.stderr
            )
        with (
            RedisServer(world.folder / "redis") as server,
            Service(world.folder, frozen / "bundle", server.url) as service,
        ):
            ready = asyncio.run(Http(service.port).ask("GET", "/readyz"))
            tell["a read-only bundle"] = ready.status == 200
    return _finding(tell, "cases as promised")


@drill(
    "clock",
    "the clock jumps a day ahead and two days back under load (faketime)",
    "no failed request, no wrong time taken, rate limits lock nobody out",
)
def clock(world: World) -> Finding:
    if not FAKETIME.is_file():
        raise SkippedError("needs libfaketime")
    file = world.folder / "faketime"
    file.write_text("+0")
    with RedisServer(world.folder / "redis") as server:
        service = Service(
            world.folder, world.bundles[0], server.url, rate_limit=10_000, rate_burst=10_000
        )
        service.environment |= {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        took: list[float] = []
        with service:

            async def load() -> tuple[int, int]:
                http, failed, sent = Http(service.port), 0, 0
                for jump in ("+0", "+1d", "-1d", "+0"):
                    file.write_text(jump)
                    answers = await by_clients(http, recommending(1_500), 4, 1.5)
                    event = {"user_id": "u", "item_id": f"at{jump}"}
                    answers.append(await http.ask("POST", "/events", {"events": [event]}))
                    failed += count(answers, lambda answer: answer.status not in {200, 202})
                    sent += len(answers)
                    took.extend(a.json["took_ms"] for a in answers if a.status == 200)
                history = (await http.ask("GET", "/users/u/history")).json["events"]
                jumped.extend(event["timestamp"][:10] for event in history)
                http.close()
                return failed, sent

            jumped: list[str] = []
            failed, sent = asyncio.run(load())
            until(service.alive, 5, "the service")
    return Finding(
        failed == 0 and len(set(jumped)) == 3 and min(took) >= 0 and max(took) < 60_000,
        f"{sent:,} requests over four jumps: {failed} failed; `took_ms` between {min(took):.1f} and "
        f"{max(took):.0f}; four events kept in order of arrival",
        {"requests": sent, "failed": failed, "dates": jumped},
    )
