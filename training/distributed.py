"""One process or many, CPU or GPU: the stages are written once for all of them.

Every process, started by `torchrun` or by `training.cores`, reads its own part of each batch and DDP
averages the gradients (NCCL between GPUs, gloo between CPUs), so that many processes take the steps that
one would take with the same batches. The first process alone judges and writes; all processes see one
run directory.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from model_export.contract.errors import ConfigError
from training.args import DEVICES

PATIENCE = timedelta(days=1)
"""How long processes wait for each other: the first one works alone for long on a large catalogue."""

T = TypeVar("T")
_is_apart = False


def on_gpu(device: str) -> bool:
    """Whether work goes to a GPU.

    Args:
        device: "cpu", "cuda", or "auto" for a GPU where there is one.

    Raises:
        ConfigError: there is no such device.
    """
    if device not in DEVICES:
        raise ConfigError(f"device {device!r} is not one of {', '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no GPU can be used: torch sees none; choose --device cpu")
    return device != "cpu" and torch.cuda.is_available()


@contextmanager
def processes(device: str, meet: Callable[[], None] | None = None) -> Iterator[None]:
    """Work on a device, together with other processes.

    Args:
        device: as for `on_gpu`.
        meet: joins processes that torchrun did not start.

    Raises:
        ConfigError: there is no such device.
    """
    gpu = on_gpu(device)
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        torch.set_default_device("cuda")
        torch.set_float32_matmul_precision("high")
    if meet:
        meet()
    elif int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("nccl" if gpu else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        torch.set_default_device(None)
        if dist.is_initialized():
            dist.destroy_process_group()
            # What still holds the group, in cycles, would end its threads after Python itself: an abort.
            gc.collect()


@contextmanager
def apart() -> Iterator[None]:
    """Within the block this process works as if it were the only one."""
    global _is_apart
    _is_apart = True
    try:
        yield
    finally:
        _is_apart = False


def together() -> bool:
    """Whether this process shares its work with others."""
    return dist.is_initialized() and not _is_apart


def count() -> int:
    """Number of processes that share the work."""
    return dist.get_world_size() if together() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if together() else 0


def share() -> tuple[int, int]:
    """Number of this process and of all, by which those that share the work divide it."""
    return rank(), count()


def own(things: Sequence[T]) -> Sequence[T]:
    """This process's part of what is done whole, a thing by one process."""
    return things[rank() :: count()]


def is_first() -> bool:
    """Whether this process judges and writes."""
    return rank() == 0


def wait() -> None:
    """Go on when every process has come this far."""
    if together():
        dist.barrier()


def from_first(ask: Callable[[], T]) -> T:
    """What `ask` returns in the first process; the others wait for it."""
    if not together():
        return ask()
    answer: list[Any] = [ask() if is_first() else None]
    dist.broadcast_object_list(answer)
    found: T = answer[0]
    return found


def gathered(mine: T) -> list[T]:
    """What every process has, the first one's first."""
    if not together():
        return [mine]
    found: list[Any] = [None] * count()
    dist.all_gather_object(found, mine)
    return found


def total(values: list[float]) -> list[float]:
    """Sums over all processes."""
    if not together():
        return values
    sums = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(sums)
    found: list[float] = sums.tolist()
    return found


def mean(value: float) -> float:
    """Mean over all processes."""
    return total([value])[0] / count()


def part(batch: NDArray[Any], rank: int, count: int) -> tuple[NDArray[Any], float]:
    """One process's part of a batch, and the weight of its mean loss.

    DDP takes the mean of the processes; with these weights that is the mean of the batch, although parts
    differ by one in length. A batch that is too small to be shared goes to every process.
    """
    if len(batch) < count:
        return batch, 1.0
    mine = batch[rank::count]
    return mine, len(mine) * count / len(batch)


def tensor(array: NDArray[Any]) -> Tensor:
    """An array as a tensor on the device in use."""
    return torch.from_numpy(array).to(torch.get_default_device())


def data_parallel(
    model: nn.Module, losses: Callable[..., T], *, bfloat16: bool = True
) -> Callable[..., T]:
    """`losses` of `model`, such that `backward` averages its gradients over all processes.

    On a GPU the layers are compiled.

    Args:
        bfloat16: multiply matrices in bfloat16 on a GPU.
    """
    gpu = torch.get_default_device().type == "cuda"
    if gpu:
        for stack in ("encoder", "decoder"):
            for layer in getattr(model, stack, ()):
                layer.compile(dynamic=True)
    step: nn.Module = _Step(model, losses, gpu and bfloat16)
    if together():
        with warnings.catch_warnings():
            # The name of broadcast_buffers changes between the versions of torch that will do.
            warnings.simplefilter("ignore", FutureWarning)
            step = DistributedDataParallel(
                step, broadcast_buffers=False, find_unused_parameters=True
            )
    return step


class _Step(nn.Module):
    """A call of `losses` as a module, which is what DDP wraps."""

    def __init__(self, model: nn.Module, losses: Callable[..., Any], bfloat16: bool) -> None:
        super().__init__()
        self.model = model
        self._losses = losses
        self._bfloat16 = bfloat16

    def forward(self, *inputs: Any) -> Any:
        with torch.autocast("cuda", torch.bfloat16, enabled=self._bfloat16):
            return self._losses(*inputs)
