"""Stage 2, cross-fitting: rankings by those who do not know the answer.

What is learnt from must look as it will when serving: the target must be new to the network and to the
evidence. So the users are split in folds, and a network and the evidence tables are fitted without a
fold; every training position of its users then gives one list of candidates. The weights of the mix are
fitted on the same lists. No validation or test target is learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from model_export.contract.evidence import NeighbourTable
from model_export.contract.files import read_json, write_json
from model_export.contract.scoring import DEFAULT_WEIGHTS, Scorer
from training import distributed
from training.args import DeliberateConfig, RunConfig
from training.data.batches import Windows
from training.data.sequences import Sequences
from training.items.evidence import fit_evidence
from training.lists import (
    CandidateLists,
    Logits,
    build_lists,
    fit_mix_weights,
    state_logits,
)
from training.model import StreamRec
from training.soft_targets import SoftTargets
from training.stages.stage1_pretrain import pretrain

MIX = (
    "state",
    "wide@0.8",
    "wide@0.4",
    "reverse@0.8",
    "together@0.8",
    "text@0.8",
    "text@0.4",
    "repeat@1.0",
    "repeat@0.8",
    "repeat@0.4",
    "recent",
)
"""What the mix may weigh; everything else is for deliberation alone. Not popularity: what was popular
counts for more among positions of the past than it will tomorrow."""
PROBE_LISTS = 24_000
"""Lists on which the weights of the mix are fitted before the final lists are built: the latest
positions, whose histories are as long as those of the requests to come."""
JUDGED = 4096
"""Lists that are held in memory to be judged at once."""


@dataclass(frozen=True)
class Data:
    """What all folds are cut from.

    Attributes:
        training: histories of all users.
        text: text neighbours, which no user makes.
        config: how they are cut, and what is learnt from them.
        progress: shows how far the work has come.
    """

    training: Sequences
    text: NeighbourTable
    config: RunConfig
    progress: Progress


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
    name: str,
    held_out: NDArray[np.bool_],
    data: Data,
    new_model: Callable[[NDArray[np.int64]], StreamRec],
    folder: Path,
    seed: int,
) -> Logits:
    """A network, state head only, that never saw the held-out users."""
    config = data.config
    offsets, items = others(data.training, held_out)
    windows = Windows.cut(offsets, items, config.model.max_history)
    model = new_model(items)
    stage1 = config.stage1.model_copy(
        update={"optim": config.deliberate.network, "generation": 0.0}
    )
    no_prefix = np.zeros((len(model.items.tokens), 1), dtype=np.int64)
    pretrain(model, windows, no_prefix, None, stage1, folder, seed, data.progress, name)
    return state_logits(model)


def fit_scorer(held_out: NDArray[np.bool_], data: Data, weights: Mapping[str, float]) -> Scorer:
    """Evidence that knows nothing of the held-out users."""
    offsets, items = others(data.training, held_out)
    return fit_evidence(offsets, items, data.text, data.config.evidence).scorer(weights)


def positions(
    training: Sequences, users: NDArray[np.int64], limit: int
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Histories of at most `limit` training positions of some users, latest first, and the places of
    their targets among all items."""
    lengths = training.lengths[users]
    owner = np.repeat(users, np.maximum(lengths - 1, 0))
    back = np.concatenate([np.arange(1, length) for length in lengths] or [np.zeros(0, np.int64)])
    newest = np.argsort(back, kind="stable")[:limit]
    ends = training.offsets[owner[newest] + 1] - back[newest]
    starts = training.offsets[owner[newest]]
    return [training.items[start:end] for start, end in zip(starts, ends, strict=True)], ends


@dataclass(frozen=True)
class Fold:
    """Users who are held out, and what a network that never saw them makes of a history.

    Attributes:
        users: whose positions are ranked.
        logits: of the network.
    """

    name: str
    data: Data
    users: NDArray[np.int64]
    logits: Logits

    def lists(self, purpose: str, limit: int, weights: Mapping[str, float]) -> CandidateLists:
        """This fold's share of `limit` lists, those that hold their target; progress names the purpose."""
        parts = []
        for places, histories, scorer in self._parts(purpose, limit, weights):
            built = self._build(places, histories, scorer)
            parts.append(built[built.label >= 0])
        return CandidateLists.join(parts)

    def expected(
        self,
        limit: int,
        weights: Mapping[str, float],
        judge: Callable[[CandidateLists], NDArray[np.floating]],
    ) -> SoftTargets:
        """What a judge of lists expects at this fold's share of `limit` positions.

        Args:
            judge: scores (M, C) of the candidates.
        """
        parts = []
        for places, histories, scorer in self._parts("expect", limit, weights):
            for begin in range(0, len(places) or 1, JUDGED):
                some = slice(begin, begin + JUDGED)
                built = self._build(places[some], histories[some], scorer)
                parts.append(SoftTargets.expected(places[some], built.candidates, judge(built)))
        return SoftTargets.join(parts)

    def _build(
        self, places: NDArray[np.int64], histories: Sequence[NDArray[np.int64]], scorer: Scorer
    ) -> CandidateLists:
        targets = self.data.training.items[places]
        return build_lists(
            histories, targets, self.logits, scorer, self.data.config.deliberation.candidates
        )

    def _parts(
        self, purpose: str, limit: int, weights: Mapping[str, float]
    ) -> Iterator[tuple[NDArray[np.int64], list[NDArray[np.int64]], Scorer]]:
        """Places of targets, histories and the evidence for them.

        Evidence is cheap, so each table lacks only a part of the fold's users and is nearly as full as
        the one that serves.
        """
        data, settings = self.data, self.data.config.deliberate
        share = -(-limit // (settings.folds * settings.evidence_parts))
        task = data.progress.add_task(f"{purpose} {self.name}", total=settings.evidence_parts)
        for part in np.array_split(self.users, settings.evidence_parts):
            held_out = np.zeros(len(data.training), dtype=bool)
            held_out[part] = True
            scorer = fit_scorer(held_out, data, weights)
            histories, places = positions(data.training, part, share)
            yield places, histories, scorer
            data.progress.advance(task)


def cross_fit(
    data: Data,
    new_model: Callable[[NDArray[np.int64]], StreamRec],
    folder: Path,
    seed: int,
) -> list[Fold]:
    """This process's folds. A process learns whole networks, which have less to compute in a step than
    to exchange."""
    training, config = data.training, data.config
    fold_of = split_users(len(training), config.deliberate.folds, seed)
    folds = []
    for number in distributed.own(range(config.deliberate.folds)):
        name, held_out = f"fold {number + 1}", fold_of == number
        with distributed.apart():
            network = fit_network(name, held_out, data, new_model, folder / f"fold-{number}", seed)
        folds.append(Fold(name, data, np.flatnonzero(held_out), network))
    distributed.wait()
    return folds


def cross_fitted_lists(
    folds: Sequence[Fold], settings: DeliberateConfig, folder: Path
) -> tuple[CandidateLists, dict[str, float]]:
    """Lists of all folds that hold their target, and the weights of the mix that made them.

    Args:
        folds: those of this process.
    """
    weights_file = folder / "mix.json"
    if not weights_file.is_file():
        limit = min(PROBE_LISTS, settings.max_lists)
        mine = [fold.lists("weigh", limit, DEFAULT_WEIGHTS) for fold in folds]
        probe = [lists for share in distributed.gathered(mine) for lists in share]
        if distributed.is_first():
            write_json(weights_file, fit_mix_weights(CandidateLists.join(probe), MIX))
    distributed.wait()
    weights = read_json(weights_file, f"delete {folder} and train again")
    files = [folder / f"lists-{number}.npz" for number in range(settings.folds)]
    for fold, file in zip(folds, distributed.own(files), strict=True):
        if not file.is_file():
            fold.lists("rank", settings.max_lists, weights).save(file)
    distributed.wait()
    return CandidateLists.join([CandidateLists.load(file) for file in files]), weights
