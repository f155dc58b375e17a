"""results.json as Markdown and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

_VARIED = ("engine", "items", "steps", "history", "beams", "max_batch", "clients", "rate")
_SHOWN = {
    "per_second": "requests/s",
    "cpu_ms": "CPU ms",
    "loop_cpu_ms": "of it the event loop",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "p99_ms": "p99 ms",
    "history_ms": "Redis: history",
    "record_ms": "Redis: record",
    "model_ms": "model, with its queue",
    "http_ms": "HTTP, JSON, the rest",
}
_FOOTPRINT = {
    "ready_s": "seconds until ready",
    "resident_mb": "MB resident",
    "own_mb": "MB of its own, without mapped files",
    "bundle_mb": "MB of bundle",
    "redis_bytes_per_user": "bytes of Redis per user",
}

Results = dict[str, dict[str, Any]]


def report(results: Results, out: Path) -> None:
    """Write report.md and its pictures."""
    lines = ["# Serving", ""]
    for name, found in results.items():
        lines += [f"## {name}", "", f"sgemm yardstick {found['sgemm_gflops']:.0f} GFLOP/s", ""]
        if "multiply_adds" in found:
            floor = 2 * found["multiply_adds"] / found["sgemm_gflops"] / 1e6
            lines += [f"{found['multiply_adds'] / 1e6:.1f} M multiply-adds: {floor:.2f} ms", ""]
        for key, label in _FOOTPRINT.items():
            if key in found:
                lines += [f"- {found[key]:.1f} {label}"]
        for kind in ("closed", "open", "eager", "graphs"):
            if kind in found:
                lines += ["", f"{kind}:", "", *_table(found[kind])]
        lines += [""]
    (out / "report.md").write_text("\n".join(lines), encoding="utf-8")
    _draw(results, out)


def _table(rows: list[dict[str, float]]) -> list[str]:
    columns = [key for key in (*_VARIED, *_SHOWN) if any(key in row for row in rows)]
    head = [_SHOWN.get(key, key) for key in columns]
    body = [[f"{row[key]:.4g}" if key in row else "" for key in columns] for row in rows]
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body)]


def _draw(results: Results, out: Path) -> None:
    for name, found in results.items():
        for kind in ("closed", "open"):
            rows = found.get(kind, [])
            varied = next((key for key in _VARIED if len({row.get(key) for row in rows}) > 1), None)
            if varied is None:
                continue
            figure, (latency, cpu) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
            x = [row[varied] for row in rows]
            for quantile in ("p50_ms", "p95_ms", "p99_ms"):
                latency.plot(x, [row[quantile] for row in rows], "o-", label=quantile[:-3])
            latency.set(xlabel=varied, ylabel="milliseconds", ylim=(0, None))
            latency.legend()
            cpu.plot(x, [row["cpu_ms"] for row in rows], "o-")
            cpu.set(xlabel=varied, ylabel="CPU ms per request", ylim=(0, None))
            figure.savefig(out / f"{name}-{kind}.png", dpi=110)
            plt.close(figure)
