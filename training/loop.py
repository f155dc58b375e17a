"""The epoch loop of the supervised stages: resume, progress, validation, early stop.

Every epoch draws its randomness from (seed, stage, epoch), so an interrupted and resumed run ends with
the same weights as one that was left alone.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn

from training import distributed
from training.args import OptimConfig
from training.checkpoint import Course
from training.data.batches import Batch, Windows, batches

Losses = dict[str, Tensor]


def seeded(seed: int, *names: str | int) -> np.random.Generator:
    """A generator of its own for each named place, the same in all processes.

    torch is seeded alike, but in each process differently: they must not all drop out the same.
    """
    number = zlib.crc32(repr((seed, *names)).encode())
    torch.manual_seed(number + distributed.rank())
    return np.random.default_rng(number)


def train_epochs(
    stage: str,
    model: nn.Module,
    windows: Windows,
    losses: Callable[[Batch, np.random.Generator], Losses],
    validate: Callable[[], dict[str, float]] | None,
    optim: OptimConfig,
    folder: Path,
    seed: int,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Train until validation stops improving and leave the best weights in `model`.

    Parameters that require no gradient stay as they are.

    Args:
        losses: named losses of a batch, already weighted; their sum is minimised.
        validate: metrics of the model; the one named "objective" decides. None trains all epochs
            and keeps the last.
        folder: where `best.safetensors` and the resumable state go.

    Returns:
        One record per epoch: mean of each loss, metrics, seconds.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=optim.learning_rate, weight_decay=optim.weight_decay)
    losses = distributed.data_parallel(model, losses)
    course = Course(
        folder, model, optimizer,
        lambda: {"epoch": 0, "best": validate()["objective"] if validate else None, "best_epoch": 0},
    )  # fmt: skip
    state = course.state
    task = progress.add_task(stage, total=optim.epochs, completed=state["epoch"])
    while state["epoch"] < optim.epochs and state["epoch"] - state["best_epoch"] < optim.patience:
        began = time.perf_counter()
        epoch = state["epoch"] + 1
        rng = seeded(seed, stage, epoch)
        means = _train_epoch(
            model, optimizer, windows, losses, optim, epoch, rng,
            lambda done: progress.update(task, completed=done),
        )  # fmt: skip
        metrics = validate() if validate else {}
        seconds = time.perf_counter() - began
        state["epoch"] = epoch
        course.keep(
            {"epoch": epoch, "losses": means, "metrics": metrics, "seconds": seconds},
            metrics.get("objective"), best_epoch=epoch,
        )  # fmt: skip
        reached = f"  N@10 {metrics['objective']:.4f}" if validate else ""
        progress.update(task, completed=epoch, description=stage + reached)
    progress.update(task, total=state["epoch"], completed=state["epoch"])
    return course.finish()


def learning_rate(optim: OptimConfig, epochs_done: float) -> float:
    """Rises over the first half epoch, then falls in a straight line to a tenth."""
    warm_up = min(1.0, 2 * epochs_done + 0.02)
    return optim.learning_rate * warm_up * (1 - 0.9 * epochs_done / optim.epochs)


def _examples(windows: Windows, max_targets: int) -> int:
    return int(np.minimum(windows.end - windows.first_target, max_targets).sum())


def _train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    windows: Windows,
    losses: Callable[[Batch, np.random.Generator], Losses],
    optim: OptimConfig,
    epoch: int,
    rng: np.random.Generator,
    report: Callable[[float], None],
) -> dict[str, float]:
    model.train()
    sums: dict[str, float] = {}
    seen = 0.0
    examples = _examples(windows, optim.max_targets)
    share = distributed.share()
    drawn = rng.spawn(share[1])[share[0]] if share[1] > 1 else rng
    for batch in batches(windows, optim.batch_size, optim.max_targets, rng, share):
        epochs_done = epoch - 1 + seen / examples
        report(epochs_done)
        for parameters in optimizer.param_groups:
            parameters["lr"] = learning_rate(optim, epochs_done)
        parts = losses(batch.to(torch.get_default_device()), drawn)
        total = torch.stack(list(parts.values())).sum()
        size = len(batch.target)
        (together,) = distributed.total([size])
        optimizer.zero_grad(set_to_none=True)
        # DDP takes the mean of the processes; examples, of which each has its number, count alike.
        (total * (size * distributed.count() / together)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), optim.clip)
        optimizer.step()
        seen += together
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach()) * size
    model.eval()
    means = distributed.total([value / seen for value in sums.values()])
    return dict(zip(sums, means, strict=True))
