"""All cores of one machine at work: processes that train together, as under torchrun.

The matrices of these networks are small: a second thread of one process finds little to do, a second
process takes half of every batch.

    first    start the others ─► wait until all are here ─┐
    others   load torch ─► here ──────────────────────────┴─► meet ─► work together ─► end

What goes wrong in one is told by the first; the others write nothing and never outlive it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing import parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist
from joblib import cpu_count
from threadpoolctl import threadpool_limits
from torch.multiprocessing.spawn import spawn

from model_export.contract.errors import RunError, StreamRecError
from training import distributed

MOST_PROCESSES = 4
"""More would share batches of a few hundred examples; the other cores are threads of these."""
SECONDS_TO_END = 5.0
"""For a process whose end another one noticed first."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""As glibc's malloc.h numbers them."""

T = TypeVar("T")
P = ParamSpec("P")


def on_cores(
    cores: int | None, device: str, work: Callable[P, T], *job: P.args, **more: P.kwargs
) -> T:
    """Do `work(*job, **more)` in several processes at once, which share it by `distributed`.

    Processes that torchrun started, and one with a GPU, start no others.

    Args:
        cores: how many to use; None for all that this process may use.
        device: as for `distributed.processes`.
        work: can be imported by its name, and what it is given pickled.

    Returns:
        What this process makes of it.

    Raises:
        RunError: the system ended one of the processes, or what went wrong first in one of the others.
        Exception: whatever went wrong in this one.
    """
    task = Task(work, job, more, device)
    if "WORLD_SIZE" in os.environ or distributed.on_gpu(device):
        return task.do(cores, None)
    cores = cores or cpu_count()
    count = min(cores, MOST_PROCESSES)
    if count == 1:
        return task.do(1, None)
    with TemporaryDirectory() as folder:
        seat = Seat(Path(folder), cores, 0, count)
        with _others(task, seat):
            return task.do(seat.threads, seat)


@dataclass(frozen=True)
class Seat:
    """The place of a process among those that work together.

    Attributes:
        folder: where they meet; empty at first.
        cores: of all of them together.
        rank: number of the process, from 0.
        count: of all processes.
    """

    folder: Path
    cores: int
    rank: int
    count: int

    @property
    def threads(self) -> int:
        """This process's part of the cores."""
        return (self.cores - 1 - self.rank) // self.count + 1

    def all_here(self) -> bool:
        """Whether every process but the first has come."""
        return len(list(self.folder.glob("*.here"))) == self.count - 1

    def meet(self) -> None:
        """Join the others; what they tell each other stays on this machine."""
        if self.rank:
            (self.folder / f"{self.rank}.here").touch()
        for _, name in socket.if_nameindex():
            if name in ("lo", "lo0"):
                os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
        store = dist.FileStore(str(self.folder / "store"), self.count)  # type: ignore[attr-defined]
        store.set_timeout(timedelta(minutes=5))
        dist.init_process_group(
            "gloo", store=store, timeout=distributed.PATIENCE, rank=self.rank, world_size=self.count
        )

    def blame(self, error: Exception) -> None:
        """Keep what went wrong, unless something did before: then this is but a consequence."""
        told = error.strerror if isinstance(error, OSError) else None
        cause = {
            "rank": self.rank,
            "foreseen": str(error) if isinstance(error, StreamRecError) else told,
            "trace": traceback.format_exc(),
        }
        with suppress(FileExistsError), (self.folder / "cause.json").open("x") as file:
            json.dump(cause, file)

    def blamed(self) -> Exception | None:
        """What went wrong first, if that was in another process."""
        file = self.folder / "cause.json"
        cause = json.loads(file.read_text()) if file.is_file() else {"rank": self.rank}
        if cause["rank"] == self.rank:
            return None
        if cause["foreseen"]:
            return RunError(cause["foreseen"])
        return RuntimeError(f"in process {cause['rank']}: {cause['trace']}")


@dataclass(frozen=True)
class Task:
    """What all processes do."""

    work: Callable[..., Any]
    job: tuple[Any, ...]
    more: dict[str, Any]
    device: str

    def do(self, threads: int | None, seat: Seat | None) -> Any:
        """Do this process's part with some threads; None leaves their number as it is."""
        _keep_pages()
        before = torch.get_num_threads()
        torch.set_num_threads(threads or before)
        try:
            with (
                threadpool_limits(threads),
                distributed.processes(self.device, seat.meet if seat else None),
            ):
                try:
                    return self.work(*self.job, **self.more)
                except Exception as error:
                    if seat:  # before the others lose the connection and find that an error
                        seat.blame(error)
                    raise
        finally:
            torch.set_num_threads(before)


def _keep_pages() -> None:
    """Have glibc keep the memory that one step frees for the next, which needs as much of it again.

    Otherwise every large tensor costs new pages from the kernel.
    """
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt") and allocator.mallopt(M_MMAP_THRESHOLD, 2**30):
        allocator.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def _others(task: Task, first: Seat) -> Iterator[None]:
    """All processes but the first; they are here when the block begins, and end with it."""
    # They inherit that Ctrl-C is ignored, until they can end without a stack trace.
    ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        others = spawn(_other, (task, first), nprocs=first.count - 1, join=False).processes
    finally:
        signal.signal(signal.SIGINT, ctrl_c)
    try:
        while not first.all_here():
            _refuse_losses(others)
            time.sleep(0.02)
        yield
        for process in others:
            process.join()
        _refuse_losses(others)
    except RuntimeError as error:
        for process in others:
            process.join(SECONDS_TO_END)
        _refuse_losses(others)
        if cause := first.blamed():
            raise cause from error
        raise
    finally:
        for process in others:
            process.kill()


def _refuse_losses(others: list[Any]) -> None:
    """Raise if the system ended a process, or Ctrl-C did."""
    for process in others:
        code = process.exitcode or 0
        if code == -signal.SIGINT:
            raise KeyboardInterrupt
        if code < 0:
            raise RunError(
                f"a process of this training was ended by {signal.Signals(-code).name}, often for lack of "
                "memory; the same command goes on where it stopped, and --threads 1 needs the least"
            )


def _other(number: int, task: Task, first: Seat) -> None:
    """What each of the others does; torch has Linux interrupt it when the first one ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = parent_process()
    if parent is not None and parent.is_alive():
        seat = replace(first, rank=number + 1)
        task.do(seat.threads, seat)
