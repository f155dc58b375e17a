"""Stage 2, last part: learn to deliberate over candidates.

Lists to learn from must look as they will when serving: the target must be new to the network and to the
memory. So the users are split in folds, and a small network and the evidence tables are fitted on the
other folds (cross-fitting); every training position of a held-out user then gives one list. The
weights of the mix are fitted on the same lists. No validation or test target is learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional as F

from model_export.contract.config import EvidenceConfig
from model_export.contract.evidence import NeighbourTable
from model_export.contract.files import read_json, write_json
from model_export.contract.scoring import DEFAULT_WEIGHTS, Scorer
from training import distributed
from training.args import DeliberateConfig, RunConfig
from training.checkpoint import Course
from training.data.batches import Windows
from training.data.sequences import Sequences
from training.deliberation import Deliberator
from training.distributed import tensor
from training.items.evidence import fit_evidence
from training.lists import CandidateLists, Logits, build_lists, fit_mix_weights, state_logits
from training.loop import seeded
from training.metrics import ranking_metrics
from training.model import StreamRec
from training.stages.stage1_pretrain import pretrain

MIX = ("state", "wide@0.8", "wide@0.4", "text@0.8", "text@0.4", "together@0.8", "recent")
"""What the mix may weigh; everything else is for deliberation alone. Not popularity: what was popular
counts for more among positions of the past than it will tomorrow."""
PROBE_LISTS = 24_000
"""Lists on which the weights of the mix are fitted before the final lists are built: the latest
positions, whose histories are as long as those of the requests to come."""


def split_users(users: int, folds: int, seed: int) -> NDArray[np.int64]:
    """(users,) fold of each user, at random and of equal size."""
    return np.random.default_rng(seed).permutation(users) % folds


def others(
    training: Sequences, held_out: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offsets and items of the histories of all users but the held-out ones (theirs are empty)."""
    lengths = np.where(held_out, 0, training.lengths)
    kept = np.repeat(~held_out, training.lengths)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), training.items[kept]


def fit_network(
    number: int,
    held_out: NDArray[np.bool_],
    training: Sequences,
    new_model: Callable[[NDArray[np.int64]], StreamRec],
    config: RunConfig,
    folder: Path,
    seed: int,
    progress: Progress,
) -> Logits:
    """A network, state head only, that never saw the held-out users."""
    offsets, items = others(training, held_out)
    windows = Windows.cut(offsets, items, config.model.max_history)
    model = new_model(items)
    stage1 = config.stage1.model_copy(
        update={"optim": config.deliberate.network, "generation": 0.0}
    )
    no_prefix = np.zeros((len(model.items.tokens), 1), dtype=np.int64)
    pretrain(
        model, windows, no_prefix, None, stage1, folder, seed, progress, name=f"fold {number + 1}"
    )
    return state_logits(model)


def fit_scorer(
    held_out: NDArray[np.bool_],
    training: Sequences,
    text: NeighbourTable,
    config: EvidenceConfig,
    weights: Mapping[str, float],
) -> Scorer:
    """Evidence that knows nothing of the held-out users."""
    offsets, items = others(training, held_out)
    return fit_evidence(offsets, items, text, config).scorer(weights)


def positions(
    training: Sequences, users: NDArray[np.int64], limit: int
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Histories and targets of at most `limit` training positions of some users, latest first."""
    lengths = training.lengths[users]
    owner = np.repeat(users, np.maximum(lengths - 1, 0))
    back = np.concatenate([np.arange(1, length) for length in lengths] or [np.zeros(0, np.int64)])
    newest = np.argsort(back, kind="stable")[:limit]
    ends = training.offsets[owner[newest] + 1] - back[newest]
    starts = training.offsets[owner[newest]]
    histories = [training.items[start:end] for start, end in zip(starts, ends, strict=True)]
    return histories, training.items[ends]


def cross_fitted_lists(
    training: Sequences,
    text: NeighbourTable,
    new_model: Callable[[NDArray[np.int64]], StreamRec],
    config: RunConfig,
    folder: Path,
    seed: int,
    progress: Progress,
) -> tuple[CandidateLists, dict[str, float]]:
    """Lists of all folds that hold their target, and the weights of the mix that made them."""
    settings = config.deliberate
    fold_of = split_users(len(training), settings.folds, seed)
    # A process learns whole folds, which have less to compute in a step than to exchange.
    own = distributed.own(range(settings.folds))
    with distributed.apart():
        folds = [
            Fold(
                np.flatnonzero(fold_of == number),
                fit_network(
                    number, fold_of == number, training, new_model, config,
                    folder / f"fold-{number}", seed, progress,
                ),
            )
            for number in own
        ]  # fmt: skip
    distributed.wait()
    weights_file = folder / "mix.json"
    if not weights_file.is_file():
        limit = min(PROBE_LISTS, settings.max_lists)
        mine = [fold.lists(training, text, config, limit, DEFAULT_WEIGHTS) for fold in folds]
        probe = [lists for share in distributed.gathered(mine) for lists in share]
        if distributed.is_first():
            write_json(weights_file, fit_mix_weights(CandidateLists.join(probe), MIX))
    distributed.wait()
    weights = read_json(weights_file, f"delete {folder} and train again")
    files = [folder / f"lists-{number}.npz" for number in range(settings.folds)]
    for fold, number in zip(folds, own, strict=True):
        if not files[number].is_file():
            fold.lists(training, text, config, settings.max_lists, weights).save(files[number])
    distributed.wait()
    return CandidateLists.join([CandidateLists.load(file) for file in files]), weights


@dataclass(frozen=True)
class Fold:
    """Users who are held out, and what a network that never saw them makes of a history."""

    users: NDArray[np.int64]
    logits: Logits

    def lists(
        self,
        training: Sequences,
        text: NeighbourTable,
        config: RunConfig,
        limit: int,
        weights: Mapping[str, float],
    ) -> CandidateLists:
        """This fold's share of `limit` lists, those that hold their target.

        Evidence is cheap, so each table lacks only a part of the fold's users and is nearly as full as
        the one that serves.
        """
        settings = config.deliberate
        share = -(-limit // (settings.folds * settings.evidence_parts))
        lists = []
        for part in np.array_split(self.users, settings.evidence_parts):
            held_out = np.isin(np.arange(len(training)), part)
            scorer = fit_scorer(held_out, training, text, config.evidence, weights)
            histories, targets = positions(training, part, share)
            built = build_lists(
                histories, targets, self.logits, scorer, config.deliberation.candidates
            )
            lists.append(built[built.label >= 0])
        return CandidateLists.join(lists)


def new_deliberator(lists: CandidateLists, text_dims: int, config: RunConfig) -> Deliberator:
    """An untrained deliberator that knows the scale of the features, if there are lists to know it from."""
    sample = lists.features[:: max(1, len(lists) // 2000)].astype(np.float32)
    flat = tensor(sample).flatten(0, 1)
    if not len(flat):
        flat = torch.zeros(2, flat.shape[1])
    deliberator = Deliberator(flat.mean(0), flat.std(0) + 1e-3, text_dims, config.deliberation)
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
