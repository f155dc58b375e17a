"""Candidate lists: what a history makes one think of, with the evidence for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy, softplus

from model_export.contract.files import atomic_path
from model_export.contract.history import encode_history
from model_export.contract.reasoning import EVIDENCE_HISTORY
from model_export.contract.scoring import (
    DEFAULT_WEIGHTS,
    FEATURES,
    Array,
    Scorer,
    relative,
    relative_to_best,
)
from training.decoding import first_step
from training.deliberation import Deliberator
from training.distributed import tensor
from training.model import StreamRec

CHUNK = 256
"""Histories that are scored at once."""
NEGLIGIBLE = 0.01
"""Below this the weight of evidence in the mix is none."""

Logits = Callable[[NDArray[np.int64]], Array]
"""Right-aligned rows (B, H) to item logits (B, N) of state s_0."""


@dataclass(frozen=True)
class CandidateLists:
    """M lists of C candidates.

    Attributes:
        candidates: (M, C) rows, best of the mix first.
        features: (M, C, F) float16, see scoring.FEATURES.
        label: (M,) place of the target among the candidates, -1 where it is not there.
        history: (M, H) newest rows of each history, right-aligned.
    """

    candidates: NDArray[np.int32]
    features: NDArray[np.float16]
    label: NDArray[np.int32]
    history: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> CandidateLists:
        return CandidateLists(**{name: table[chosen] for name, table in self._tables().items()})

    def _tables(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def join(cls, parts: Sequence[CandidateLists]) -> CandidateLists:
        """All lists of several parts."""
        names = cls.__dataclass_fields__
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})

    def save(self, path: Path) -> None:
        """Write one .npz file atomically."""
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.savez(file, **self._tables())

    @classmethod
    def load(cls, path: Path) -> CandidateLists:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as tables:
            return cls(**{name: tables[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class RankedChunk:
    """The mix of some histories.

    Attributes:
        part: which of the histories.
        rows: (B, H) right-aligned.
        scores: (B, N) logits of the state.
        mix: (B, N).
        candidates: (B, C) best rows of the mix, best first.
    """

    part: slice
    rows: NDArray[np.int64]
    scores: Array
    mix: Array
    candidates: NDArray[np.int64]


def ranked(
    histories: Sequence[NDArray[np.int64]], logits: Logits, scorer: Scorer, n_candidates: int
) -> Iterator[RankedChunk]:
    """The mix of each history, whose items are candidates as all others are."""
    for begin in range(0, len(histories) or 1, CHUNK):  # no histories make lists of none
        part = slice(begin, begin + CHUNK)
        rows = encode_history(histories[part], EVIDENCE_HISTORY)
        scores = logits(rows)
        mix = scorer.weights["state"] * relative(scores) + scorer.plain_mix(rows)
        yield RankedChunk(part, rows, scores, mix, scorer.candidates(mix, n_candidates))


def build_lists(
    histories: Sequence[NDArray[np.int64]],
    targets: NDArray[np.int64],
    logits: Logits,
    scorer: Scorer,
    n_candidates: int,
) -> CandidateLists:
    """One list per history."""
    parts = []
    for chunk in ranked(histories, logits, scorer, n_candidates):
        candidates = chunk.candidates
        best = relative_to_best(chunk.scores, candidates), relative_to_best(chunk.mix, candidates)
        features = scorer.features(candidates, *best, chunk.rows)
        found = candidates == targets[chunk.part][:, None]
        recent = encode_history(histories[chunk.part], Deliberator.recent, Deliberator.recent)
        parts.append(
            CandidateLists(
                candidates.astype(np.int32),
                features.astype(np.float16),
                np.where(found.any(1), found.argmax(1), -1).astype(np.int32),
                recent.astype(np.int32),
            )
        )
    return CandidateLists.join(parts)


def state_logits(model: StreamRec) -> Logits:
    """Logits of the model's state s_0 for whole histories."""
    model.eval()
    with torch.no_grad():
        targets = model.item_targets()

    @torch.no_grad()
    def logits(rows: NDArray[np.int64]) -> Array:
        newest = torch.from_numpy(rows[:, -model.config.max_history :]).to(targets.device)
        state = first_step(model, model.read(newest)).state
        scores: Array = model.item_logits(state, targets).cpu().numpy()
        return scores

    return logits


def fit_mix_weights(lists: CandidateLists, names: Sequence[str]) -> dict[str, float]:
    """Weights of the mix that make the targets of held-out lists likeliest (listwise softmax).

    The best candidates are a selection, among which good evidence can look bad; so none is subtracted
    but that of repeats, which says where people do not come back to what they had. Evidence with hardly
    a weight gets none, so that no request looks it up.

    Args:
        names: which features take part.

    Returns:
        A weight for each name; the defaults where no list holds its target.
    """
    columns = [FEATURES.index(name) for name in names]
    with_target = lists[lists.label >= 0]
    if not len(with_target):
        return {name: DEFAULT_WEIGHTS.get(name, 0.0) for name in names}
    x = tensor(with_target.features[..., columns].astype(np.float32))
    label = tensor(with_target.label.astype(np.int64))
    free = torch.zeros(len(names), requires_grad=True)
    signed = torch.tensor([name.startswith("repeat@") for name in names])

    def weights() -> torch.Tensor:
        return torch.where(signed, free, softplus(free))

    optimizer = torch.optim.LBFGS([free], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = cross_entropy(x @ weights(), label) + 1e-4 * weights().square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    fitted = zip(names, weights().tolist(), strict=True)
    return {name: 0.0 if "@" in name and abs(w) < NEGLIGIBLE else w for name, w in fitted}
