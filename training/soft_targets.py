"""Soft targets: what a ranking expects at training positions, for networks to learn from.

What came next is one draw of what could have; a ranking by a network and evidence that do not know it says
more (knowledge distillation, Hinton et al. 2015, arXiv 1503.02531).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_export.contract.files import atomic_path
from training.distributed import tensor

Expected = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Places (P,) to candidates (P, C) and their shares (P, C) of the target distribution."""


@dataclass(frozen=True)
class SoftTargets:
    """Distributions over M lists of C candidates.

    Attributes:
        place: (M,) which target of all histories each is for, ascending.
        candidates: (M, C) distinct rows.
        chance: (M, C) float16, each list sums to one.
    """

    place: NDArray[np.int64]
    candidates: NDArray[np.int32]
    chance: NDArray[np.float16]

    @classmethod
    def expected(
        cls,
        place: NDArray[np.int64],
        candidates: NDArray[np.integer],
        scores: NDArray[np.floating],
    ) -> SoftTargets:
        """The softmax of scores (M, C), whatever the order of the places."""
        order = np.argsort(place)
        chance = torch.from_numpy(scores[order].astype(np.float32)).softmax(1)
        return cls(
            place[order], candidates[order].astype(np.int32), chance.numpy().astype(np.float16)
        )

    @classmethod
    def join(cls, parts: Sequence[SoftTargets]) -> SoftTargets:
        """All of several parts."""
        place = np.concatenate([part.place for part in parts])
        order = np.argsort(place)
        candidates = np.concatenate([part.candidates for part in parts])[order]
        return cls(place[order], candidates, np.concatenate([p.chance for p in parts])[order])

    def at(self, place: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Candidates (P, C) at places (P,) and what each gets of a share; 0 where nothing is expected."""
        if not len(self.place):
            nothing = tensor(np.zeros((len(place), 0), np.int64))
            return nothing, nothing.float()
        asked = place.cpu().numpy()
        line = np.searchsorted(self.place, asked).clip(max=len(self.place) - 1)
        known = self.place[line] == asked
        chance = self.chance[line].astype(np.float32)
        shares = np.float32(share) * known[:, None] * chance / chance.sum(1, keepdims=True)
        return tensor(self.candidates[line].astype(np.int64)), tensor(shares)

    def save(self, path: Path) -> None:
        """Write one .npz file atomically."""
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.savez(file, place=self.place, candidates=self.candidates, chance=self.chance)

    @classmethod
    def load(cls, path: Path) -> SoftTargets:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as tables:
            return cls(**{name: tables[name] for name in cls.__dataclass_fields__})
