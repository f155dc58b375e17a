"""Minutes and peak memory of everything between raw files and semantic IDs, at any size.

    python -m benchmarks.scale --items 1000000 --users 10000000 --folder /tmp/scale

Every step runs in a process of its own, on one thread, and prints its line as soon as it is done;
`--steps` repeats some of them on what an earlier call left in the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from model_export.contract.files import write_json

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")


def main() -> None:
    """Measure the steps that the command line asks for."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, required=True, help="about 5 GB at the full size")
    parser.add_argument("--steps", nargs="+", metavar="STEP", help="default: all of them")
    parser.add_argument("--run-step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder
    if arguments.run_step:
        _run(arguments.run_step, folder, arguments.items, arguments.users)
        return
    results = folder / "results.json"
    folder.mkdir(parents=True, exist_ok=True)
    done: dict[str, Any] = json.loads(results.read_text()) if results.is_file() else {}
    for step in arguments.steps or ["data", *_step_names()]:
        done[step] = _measure(step, arguments)
        write_json(results, done)
        print(json.dumps({"step": step, **done[step]}), flush=True)


def _step_names() -> list[str]:
    from benchmarks.scale.steps import STEPS

    return list(STEPS)


def _measure(step: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one step in a child process; its CPU and wall time, its peak memory and what it found."""
    began = time.perf_counter()
    command = [
        sys.executable, "-m", "benchmarks.scale", "--run-step", step,
        "--folder", str(arguments.folder),
        "--items", str(arguments.items), "--users", str(arguments.users),
    ]  # fmt: skip
    child = os.posix_spawn(sys.executable, command, os.environ | ONE_THREAD)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"step {step!r} failed with status {os.waitstatus_to_exitcode(status)}")
    found = json.loads((arguments.folder / "found.json").read_text())
    return {
        "cpu minutes": round((usage.ru_utime + usage.ru_stime) / 60, 2),
        "minutes": round((time.perf_counter() - began) / 60, 2),
        "peak GB": round(usage.ru_maxrss * 1024 / 1e9, 2),
        **found,
    }


def _run(step: str, folder: Path, items: int, users: int) -> None:
    from benchmarks.scale.data import write_shop
    from benchmarks.scale.steps import STEPS

    found = write_shop(folder, items, users, 0) if step == "data" else STEPS[step](folder)
    write_json(folder / "found.json", found)


if __name__ == "__main__":
    main()
