"""Stage 2: learn to deliberate over candidates, from the lists of stage2_cross_fit.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional as F

from training import distributed
from training.args import DeliberateConfig, RunConfig
from training.checkpoint import Course
from training.deliberation import Deliberator
from training.distributed import tensor
from training.lists import CandidateLists
from training.loop import seeded
from training.metrics import ranking_metrics


def new_deliberator(lists: CandidateLists, text_dims: int, config: RunConfig) -> Deliberator:
    """An untrained deliberator that knows the scale of the features, if there are lists to know it from."""
    sample = lists.features[:: max(1, len(lists) // 2000)].astype(np.float32)
    flat = tensor(sample).flatten(0, 1)
    if not len(flat):
        flat = torch.zeros(2, flat.shape[1])
    spread = flat.std(0)
    spread[spread < 1e-3] = 1  # what never changed must not be magnified when it does
    deliberator = Deliberator(flat.mean(0), spread, text_dims, config.deliberation)
    return deliberator.to(flat.device)


def deliberate(
    model: Deliberator, lists: CandidateLists, chosen: NDArray[np.int64], texts: Tensor, rounds: int
) -> list[Tensor]:
    """Scores (B, C) after each round over the chosen lists."""
    features = tensor(lists.features[chosen].astype(np.float32))
    candidates = texts[tensor(lists.candidates[chosen]).long()]
    history = tensor(lists.history[chosen]).long()
    outcome: list[Tensor] = model(
        features, candidates, texts[history.clamp(min=0)], history >= 0, features[..., -3], rounds
    )
    return outcome


def train_deliberator(
    model: Deliberator,
    lists: CandidateLists,
    validation: CandidateLists,
    texts: Tensor,
    config: RunConfig,
    folder: Path,
    seed: int,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Listwise softmax on every round, the last weighing most; keeps the best epoch on `validation`.

    Returns:
        One record an epoch; none where there are no lists, and the deliberator stays untrained.
    """
    settings = config.deliberate
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    losses = distributed.data_parallel(
        model, lambda chosen: listwise_losses(model, lists, chosen, texts, settings.rounds)
    )
    judge = partial(
        distributed.from_first, lambda: list_metrics(model, validation, texts, settings.rounds)
    )
    course = Course(folder, model, optimizer, lambda: {"epoch": 0, "best": judge()["objective"]})
    state = course.state
    per_epoch = -(-len(lists) // settings.batch_size)
    epochs = settings.epochs if per_epoch else 0
    task = progress.add_task(
        "deliberate", total=epochs * per_epoch, completed=state["epoch"] * per_epoch
    )
    while state["epoch"] < epochs:
        rng = seeded(seed, "deliberate", state["epoch"])
        batches = np.array_split(rng.permutation(len(lists)), per_epoch)
        loss = _train_epoch(
            model, optimizer, losses, batches, settings, state["epoch"],
            lambda done: progress.update(task, completed=done),
        )  # fmt: skip
        state["epoch"] += 1
        metrics = judge()
        means = {"listwise": distributed.mean(loss)}
        course.keep(
            {"epoch": state["epoch"], "losses": means, "metrics": metrics},
            metrics["objective"],
        )
    history = course.finish()
    model.eval()
    return history


def _train_epoch(
    model: Deliberator,
    optimizer: torch.optim.Optimizer,
    losses: Callable[[NDArray[np.int64]], tuple[Tensor, Tensor]],
    batches: list[NDArray[np.int64]],
    settings: DeliberateConfig,
    epoch: int,
    report: Callable[[int], None],
) -> float:
    """Mean loss of the last round over an epoch's batches; reports how many there were in all."""
    model.train()
    share = distributed.share()
    loss_sum = 0.0
    for number, chosen in enumerate(batches):
        done = (epoch + number / len(batches)) / settings.epochs
        for group in optimizer.param_groups:
            warm_up = min(1.0, 0.02 + 20 * done)
            group["lr"] = settings.learning_rate * warm_up * max(0.05, 1 - done)
        mine, weight = distributed.part(chosen, *share)
        together, last = losses(mine)
        optimizer.zero_grad(set_to_none=True)
        (together * weight).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss_sum += float(last.detach()) * weight
        report(epoch * len(batches) + number + 1)
    return loss_sum / len(batches)


def listwise_losses(
    model: Deliberator, lists: CandidateLists, chosen: NDArray[np.int64], texts: Tensor, rounds: int
) -> tuple[Tensor, Tensor]:
    """Softmax losses over the candidates: the weighted mean of all rounds, and that of the last."""
    label = tensor(lists.label[chosen]).long()
    scores = deliberate(model, lists, chosen, texts, rounds)
    losses = torch.stack([F.cross_entropy(round_scores, label) for round_scores in scores])
    weights = torch.tensor([0.3] * (rounds - 1) + [1.0])
    return (weights * losses).sum() / weights.sum(), losses[-1]


@torch.no_grad()
def list_metrics(
    model: Deliberator, lists: CandidateLists, texts: Tensor, rounds: int
) -> dict[str, float]:
    """NDCG@10 before and after each round; a target outside its list counts as missed."""
    model.eval()
    places: list[list[NDArray[np.int64]]] = [[] for _ in range(rounds + 1)]
    for chosen in np.array_split(np.arange(len(lists)), -(-len(lists) // 256)):
        base = tensor(lists.features[chosen][..., -3].astype(np.float32))
        label = tensor(lists.label[chosen]).long()
        for number, scores in enumerate([base, *deliberate(model, lists, chosen, texts, rounds)]):
            own = scores.gather(1, label.clamp(min=0)[:, None])
            rank = (scores >= own).sum(1)
            places[number].append(torch.where(label < 0, 0, rank).cpu().numpy())
    ndcg = [ranking_metrics(np.concatenate(ranks))["ndcg@10"] for ranks in places]
    return {**{f"ndcg@10 round {i}": value for i, value in enumerate(ndcg)}, "objective": ndcg[-1]}


@torch.no_grad()
def final_scores(
    model: Deliberator, lists: CandidateLists, texts: Tensor, rounds: int
) -> NDArray[np.float32]:
    """Scores (M, C) of all lists after the last round."""
    model.eval()
    scores = lists.features[..., -3].astype(np.float32)
    for begin in range(0, len(lists), 256):
        chosen = np.arange(begin, min(begin + 256, len(lists)))
        scores[chosen] = deliberate(model, lists, chosen, texts, rounds)[-1].cpu().numpy()
    return scores
