"""`python -m benchmarks.serving [RUN] --out DIR`: latency, throughput and cost of the service.

The real service over real HTTP with a real Redis, on one core; load generator and Redis have another.
What was measured is kept in results.json: run it again to go on where it stopped.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.serving.catalogues import write_untrained
from benchmarks.serving.floor import yardstick
from benchmarks.serving.measurements import ITEMS, Bench, measurements
from benchmarks.serving.report import report
from model_export.contract.files import write_json
from model_export.export import export_bundle
from service.embedded_redis import embedded_redis
from streamrec.console import remark
from training.args import RunConfig
from training.run import Run


def main(
    out: Annotated[Path, typer.Option(help="Folder for JSON, Markdown and pictures.")],
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Directory of a finished `streamrec train`.",
            show_default="an untrained network of the default shape, as fast as a trained one",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option(help="Fewer and shorter measurements: about two minutes.")
    ] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds of one measurement.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Measure just these; repeatable.")] = None,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    trained = Run.open(run) if run else None
    if trained:
        export_bundle(trained, out / "bundle", remark)
    elif not (out / "bundle").exists():
        write_untrained(out / "bundle", RunConfig(), ITEMS)
    kept = out / "results.json"
    results = json.loads(kept.read_text()) if kept.is_file() else {}
    with embedded_redis(_folder(out / "redis")) as url:
        bench = Bench(trained, out, url, seconds or (1.0 if quick else 4.0))
        for name, measure in measurements(quick).items():
            if name in results or (only and name not in only):
                continue
            remark(f"measuring {name}")
            results[name] = {"sgemm_gflops": yardstick(), **measure(bench)}
            write_json(kept, results)
    report(results, out)
    remark(f"written to {out / 'report.md'}")


def _folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


if __name__ == "__main__":
    typer.run(main)
