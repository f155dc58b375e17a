"""`python -m benchmarks.resilience`: run every drill, or those that are named.

The first run trains a small model (a minute), which is kept in the work folder.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.resilience import drills  # noqa: F401 - registers them
from benchmarks.resilience.drill import DRILLS, Drill, SkippedError, World
from benchmarks.resilience.processes import run
from benchmarks.resilience.report import markdown
from model_export.contract.bundle import read_manifest, seal_bundle

USED = 5_000
"""Interactions to learn from: drills need a real model, not a good one."""


def main(
    names: Annotated[
        list[str] | None, typer.Argument(help="Drills, or beginnings of their names; all if none.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for results.json and results.md.")] = Path(
        "resilience"
    ),
    work: Annotated[Path, typer.Option(help="Scratch folder; keeps the model.")] = Path(
        "/tmp/streamrec-resilience"
    ),
    soak_minutes: Annotated[float, typer.Option(help="Length of the soak.")] = 20,
    show: Annotated[bool, typer.Option("--list", help="Name the drills and end.")] = False,
) -> None:
    """Try faults and attacks on real processes and say which promises held."""
    if show:
        for each in DRILLS.values():
            print(f"{each.name:28} {each.fault}")
        return
    wanted = [each for name, each in DRILLS.items() if not names or name.startswith(tuple(names))]
    if not wanted:
        raise typer.BadParameter("no drill has such a name; see --list")
    world = _world(work, soak_minutes)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "results.json"
    rows: dict[str, Any] = {}
    if file.is_file():
        rows = {row["name"]: row for row in json.loads(file.read_text())}
    failed = False
    for each in wanted:
        row = _try(each, world)
        failed |= row["held"] is False
        rows[each.name] = row
        ordered = [rows[name] for name in DRILLS if name in rows]
        file.write_text(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n")
        (out / "results.md").write_text(markdown(ordered))
    raise typer.Exit(1 if failed else 0)


def _try(each: Drill, world: World) -> dict[str, Any]:
    folder = world.folder / each.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    try:
        row = each.row(each.run(World(**{**vars(world), "folder": folder})))
    except SkippedError as reason:
        row = each.row(None, f"skipped: {reason}")
    except Exception as error:
        row = each.row(None, f"the drill failed: {type(error).__name__}: {error}")
        row["held"] = False
    row["seconds"] = round(time.monotonic() - began, 1)
    state = {True: "held", False: "BROKEN", None: "-"}[row["held"]]
    print(f"{each.name:28} {state:7} {row['figure']}", file=sys.stderr, flush=True)
    return row


def _world(work: Path, soak_minutes: float) -> World:
    """The shop, a model of it, and another that weighs what it knows otherwise; made once."""
    shop, trained = work / "shop", work / "run"
    bundle, other = work / "bundle", work / "other"
    few = shop / "few.csv"
    if not few.is_file():
        _command("sample-data", shop)
        lines = (shop / "interactions.csv").read_text().splitlines(keepends=True)
        few.write_text("".join(lines[:USED]))
    if not bundle.is_dir():
        print("training a small model", file=sys.stderr)
        _command(
            *("train", "--interactions", few),
            *("--items", shop / "items.csv", "--run", trained, "--threads", 1),
            *("--config", Path(__file__).with_name("small.toml")),
        )
        _command("export", trained, "--bundle", bundle)
    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(bundle, other)
    manifest = read_manifest(other)
    weights = {name: -weight for name, weight in manifest.scoring.items()}
    seal_bundle(other, manifest.model_copy(update={"model_version": "other", "scoring": weights}))
    return World(work / "drills", (bundle, other), shop, trained, soak_minutes)


def _command(*arguments: object) -> None:
    ended = run(arguments)
    if ended.returncode:
        raise SystemExit(ended.stderr)


if __name__ == "__main__":
    typer.run(main)
