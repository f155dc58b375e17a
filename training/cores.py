"""All cores of one machine at work: processes that train together, as under torchrun.

The matrices of these networks are small: a second thread of one process finds little to do, a second
process takes half of every batch.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import joblib
import torch
from threadpoolctl import threadpool_limits
from torch.multiprocessing.spawn import ProcessContext, ProcessExitedException, spawn

from model_export.contract.errors import RunError
from training import distributed
from training.distributed import Meeting

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""As glibc's malloc.h numbers them."""
MOST_PROCESSES = 4
"""More would share batches of a few hundred examples; the other cores are threads of these."""
SECONDS_TO_DIE = 5.0
"""For a process whose end another one noticed first."""

T = TypeVar("T")


def on_cores(cores: int | None, device: str, work: Callable[..., T], *job: object) -> T:
    """Do `work(*job)` in several processes at once, which share it by `distributed`.

    Processes that torchrun started, and one with a GPU, start no others.

    Args:
        cores: how many to use; None for all that this process may use.
        device: as for `distributed.processes`.
        work: can be imported by its name, and its job pickled.

    Returns:
        What this process makes of it; of those that it started only their failure is heard.

    Raises:
        RunError: the system ended one of the processes.
    """
    cores = cores or joblib.cpu_count()
    alone = "WORLD_SIZE" in os.environ or distributed.on_gpu(device)
    count = 1 if alone else min(cores, MOST_PROCESSES)
    threads = cores // count
    if count == 1:
        return _do(threads, device, None, work, job)
    with TemporaryDirectory() as folder:
        meeting = Meeting(Path(folder), 0, count)
        with _others(meeting, threads, device, work, job):
            return _do(threads, device, meeting, work, job)


def _do(
    threads: int,
    device: str,
    meeting: Meeting | None,
    work: Callable[..., T],
    job: tuple[object, ...],
) -> T:
    _keep_pages()
    torch.set_num_threads(threads)
    with threadpool_limits(threads), distributed.processes(device, meeting):
        return work(*job)


def _keep_pages() -> None:
    """Have glibc keep the memory that one step frees for the next, which needs as much of it again.

    New pages from the kernel for every large tensor cost a step of training an eighth of its time.
    """
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt"):
        allocator.mallopt(M_MMAP_THRESHOLD, 2**30)
        allocator.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def _others(
    meeting: Meeting,
    threads: int,
    device: str,
    work: Callable[..., object],
    job: tuple[object, ...],
) -> Iterator[None]:
    """All processes but the first; they have come to the meeting, and end with the block."""
    ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        others = spawn(
            _other, (meeting, threads, device, work, job), nprocs=meeting.count - 1, join=False
        )
    finally:
        signal.signal(signal.SIGINT, ctrl_c)
    try:
        while meeting.missing():
            _join(others, 0.05)
        yield
        while not _join(others):
            pass
    except RuntimeError:
        _join(others, SECONDS_TO_DIE)
        raise
    finally:
        for process in others.processes:
            process.kill()


def _join(others: ProcessContext, seconds: float | None = None) -> bool:
    """Whether all have ended; raises what went wrong in one that failed."""
    try:
        return others.join(seconds)
    except ProcessExitedException as error:
        if error.signal_name == "SIGINT":
            raise KeyboardInterrupt from error
        raise RunError(
            f"a process of this training was ended by the system ({error}), often for lack of memory; "
            "the same command goes on where it stopped, and with --threads 1 it needs the least"
        ) from error


def _other(
    number: int,
    meeting: Meeting,
    threads: int,
    device: str,
    work: Callable[..., object],
    job: tuple[object, ...],
) -> None:
    """What each of the others does; Ctrl-C and the end of the first process end it without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = parent_process()
    if parent is None or not parent.is_alive():
        return
    _do(threads, device, meeting.seat(number + 1), work, job)
