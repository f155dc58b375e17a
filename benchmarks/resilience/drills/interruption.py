"""Training, export and loading of histories, killed at random moments and begun again."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.resilience.drill import Finding, World, drill
from benchmarks.resilience.processes import PROGRAM, RedisServer, run
from tests.tiny_shop import write_tiny_shop

PROMISE = (
    "the same command resumes or says what to do, and ends as if it had never been killed; no "
    "half-written file is taken for a whole one"
)
SEED = 7


def _until_done(
    command: list[object], folder: Path, longest: float, check: Callable[[], None] = lambda: None
) -> tuple[int, list[str]]:
    """Start a command, kill it with -9 at a random moment, again and again until it lives to its end.

    Args:
        longest: seconds that the first tries may live at most; later ones live longer and longer.
        check: is run after every kill.

    Returns:
        Kills, and complaints of tries that ended by themselves without success.
    """
    chance, kills = random.Random(SEED), 0
    complaints: list[str] = []
    for attempt in range(60):
        with (folder / "log").open("a") as log:
            process = subprocess.Popen([str(PROGRAM), *map(str, command)], stdout=log, stderr=log)
        try:
            process.wait(chance.uniform(0.5, longest * (1 + attempt / 5)))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            check()
            continue
        if process.returncode == 0:
            return kills, complaints
        complaints.append((folder / "log").read_text().splitlines()[-1])
    raise TimeoutError("it never came to its end")


@drill("train-killed", "`streamrec train` killed with -9 at random moments of every stage", PROMISE)
def train(world: World) -> Finding:
    write_tiny_shop(world.folder)
    command = [
        *("train", "--interactions", world.folder / "interactions.csv"),
        *("--items", world.folder / "items.csv", "--config", world.folder / "config.toml"),
        *("--threads", 1, "--run"),
    ]
    began = time.monotonic()
    whole = run([*command, world.folder / "whole"])
    seconds = time.monotonic() - began
    kills, complaints = _until_done([*command, world.folder / "killed"], world.folder, seconds / 3)
    same = _weights(world.folder / "whole") == _weights(world.folder / "killed")
    return Finding(
        whole.returncode == 0 and same and kills > 0 and not complaints,
        f"{kills} kills over all stages: every try resumed, the weights are "
        + ("those" if same else "NOT those")
        + " of an unbroken run, byte for byte",
        {"kills": kills, "same_weights": same, "complaints": complaints},
    )


def _weights(run_folder: Path) -> dict[str, bytes]:
    found = sorted(run_folder.rglob("best.safetensors"))
    return {str(path.relative_to(run_folder)): path.read_bytes() for path in found}


@drill(
    "export-killed",
    "`streamrec export` over an older bundle killed with -9 at random moments",
    PROMISE,
)
def export(world: World) -> Finding:
    from model_export.contract.bundle import open_bundle
    from model_export.contract.errors import BundleError

    bundle, torn = world.folder / "bundle", 0
    shutil.copytree(world.bundles[1], bundle)

    def look() -> None:
        nonlocal torn
        try:
            open_bundle(bundle)
        except BundleError as error:
            # Between two renames there is none, which the next export mends; a torn one never is.
            torn += "is not a bundle" not in str(error)

    command: list[object] = ["export", world.trained, "--bundle"]
    began = time.monotonic()
    run([*command, world.folder / "whole"])
    seconds = time.monotonic() - began
    kills, complaints = _until_done([*command, bundle], world.folder, seconds, look)
    after = open_bundle(bundle).manifest.model_version
    same = after == open_bundle(world.bundles[0]).manifest.model_version
    return Finding(
        kills > 0 and torn == 0 and same and not complaints,
        f"{kills} kills: {torn} torn bundles seen, the new one is whole and verified at the end",
        {"kills": kills, "torn": torn, "complaints": complaints},
    )


@drill(
    "load-histories-killed", "`streamrec load-histories` killed with -9 at random moments", PROMISE
)
def load_histories(world: World) -> Finding:
    lines = ["user_id,item_id,timestamp"]
    lines += [
        f"user-{user},item-{step},{step}" for user in range(30_000) for step in range(user % 7 + 1)
    ]
    file = world.folder / "events.csv"
    file.write_text("\n".join(lines) + "\n")
    with (
        RedisServer(world.folder / "whole") as whole,
        RedisServer(world.folder / "killed") as killed,
    ):
        command = ["load-histories", "--interactions", file, "--redis-url"]
        began = time.monotonic()
        run([*command, whole.url])
        seconds = time.monotonic() - began
        kills, complaints = _until_done([*command, killed.url], world.folder, seconds)
        with whole.client() as one, killed.client() as other:
            keys = sorted(one.keys())
            same = keys == sorted(other.keys()) and all(
                one.lrange(key, 0, -1) == other.lrange(key, 0, -1) for key in keys
            )
    return Finding(
        kills > 0 and same and not complaints,
        f"{kills} kills: {len(keys):,} histories, all "
        + ("as after an unbroken run" if same else "NOT as after an unbroken run"),
        {"kills": kills, "histories": len(keys), "same": same, "complaints": complaints},
    )
