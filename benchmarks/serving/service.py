"""The service under test in a process of its own, on a core of its own, and what it costs."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np

from benchmarks.serving.load import Plan

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 300
SERVICE_CORE, LOAD_CORE = 0, -1
"""First and last of the cores that this process may use."""

Measured = dict[str, float]


def pin(core: int) -> None:
    """Keep this process on one of the cores that it may use."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core]})


@dataclass(frozen=True)
class Service:
    """A running service.

    Attributes:
        ready: seconds from the start of the process until it took traffic.
    """

    port: int
    pid: int
    ready: float

    @property
    def resident_mb(self) -> float:
        """Memory that is resident now."""
        return self._status_mb("VmRSS")

    @property
    def own_mb(self) -> float:
        """Resident memory without what is mapped from disk, which processes share."""
        return self._status_mb("RssAnon")

    def _status_mb(self, name: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(rf"{name}:\s+(\d+)", status)[0]) / 1024

    def measure(
        self, bodies: Sequence[str], seconds: float, *, clients: int = 1, rate: float | None = None
    ) -> Measured:
        """What a load costs: throughput, latency, CPU, and the mean milliseconds of each stage.

        Args:
            bodies: of POST /recommend.
            seconds: for how long.
            clients: of a closed loop.
            rate: requests a second of an open loop; None for a closed one.
        """
        plan = Plan(self.port, list(bodies), seconds, clients, rate)
        stages, whole, loop = self._stages(), self._cpu_seconds(), self._loop_seconds()
        process = subprocess.run(
            [sys.executable, "-m", "benchmarks.serving.load"],
            input=json.dumps(asdict(plan)), text=True, capture_output=True, check=True,
            preexec_fn=lambda: pin(LOAD_CORE),
        )  # fmt: skip
        whole, loop = self._cpu_seconds() - whole, self._loop_seconds() - loop
        after = self._stages()
        result = json.loads(process.stdout)
        latencies = np.array(result["latencies"] or [np.nan])
        spent = {name: after[name] - stages.get(name, np.zeros(2)) for name in after}
        requests = float(spent["request"][1])
        mean = {name: 1000 * float(total) / requests for name, (total, _) in spent.items()}
        named = sum(value for name, value in mean.items() if name != "request")
        return {
            **({"clients": float(clients)} if rate is None else {"rate": rate}),
            "requests": float(len(result["latencies"])),
            "refused": float(result["refused"]),
            "per_second": len(result["latencies"]) / result["seconds"],
            "cpu_ms": 1000 * whole / requests,
            "loop_cpu_ms": 1000 * loop / requests,
            **{f"p{q}_ms": float(np.percentile(latencies, q)) for q in (50, 95, 99)},
            **{f"{name}_ms": value for name, value in mean.items()},
            "http_ms": mean["request"] - named,
        }

    def _cpu_seconds(self) -> float:
        return _cpu_seconds(Path(f"/proc/{self.pid}/stat"))

    def _loop_seconds(self) -> float:
        """CPU of the event loop, which is the first thread; the model has one of its own."""
        return _cpu_seconds(Path(f"/proc/{self.pid}/task/{self.pid}/stat"))

    def _stages(self) -> dict[str, np.ndarray]:
        """Seconds and number of each stage so far; `request` is the whole of a request."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics").text
        whole = r'http_server_request_duration_seconds_(sum|count){.*route="/recommend".*} (\S+)'
        part = r'streamrec_stage_duration_seconds_(sum|count){stage="(\w+)"} (\S+)'
        found = [(kind, "request", value) for kind, value in re.findall(whole, text)]
        found += re.findall(part, text)
        stages: dict[str, np.ndarray] = {"request": np.zeros(2)}
        for kind, name, value in found:
            stages.setdefault(name, np.zeros(2))[int(kind == "count")] += float(value)
        return stages


def _cpu_seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def running(
    bundle: Path, redis_url: str, log: Path, *, eager: list[Path] | None = None, **settings: object
) -> Iterator[Service]:
    """Serve a bundle as `streamrec serve` does, on one core.

    Args:
        eager: to answer from torch in place of the graphs: the run that the bundle was exported from,
            or none for the untrained network.
        settings: any of service.settings.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    named = {f"STREAMREC_{name.upper()}": str(value) for name, value in settings.items()}
    environment = os.environ | named | {
        "REDIS_URL": redis_url,
        "STREAMREC_BUNDLE": str(bundle),
        "STREAMREC_PORT": str(port),
        "STREAMREC_REDIS_TIMEOUT": "5",
    }  # fmt: skip
    if eager is not None:
        command = [sys.executable, "-m", "benchmarks.serving.eager", *map(str, eager)]
    else:
        program = Path(sys.executable).with_name("streamrec")
        command = [str(program), "serve", "--bundle", str(bundle)]
        command += ["--port", str(port)]
    begun = time.perf_counter()
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT,
            preexec_fn=lambda: pin(SERVICE_CORE),
        )  # fmt: skip
    try:
        _await_ready(process, port, log)
        yield Service(port, process.pid, time.perf_counter() - begun)
    finally:
        process.terminate()
        process.wait(30)


def _await_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the service did not start; see {log}")
        time.sleep(0.01)
