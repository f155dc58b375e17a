"""User histories in time order, and how they are split for evaluation."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_export.contract.errors import RunError
from model_export.contract.files import atomic_path, write_json

MIN_EVALUATED = 3
"""A shorter history has nothing left to learn from once two items are held out."""

Split = Literal["valid", "test"]


class Holdout(NamedTuple):
    """What evaluation asks: after this history, which item comes next?

    Attributes:
        users: (questions,) int64 positions in `Sequences.user_ids`.
        histories: catalogue rows before the target, oldest first, one array a question.
        targets: (questions,) int64 catalogue rows.
    """

    users: NDArray[np.int64]
    histories: list[NDArray[np.int64]]
    targets: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sequences:
    """The items of every user, oldest first, as one flat array.

    Attributes:
        user_ids: external ids.
        offsets: (users + 1,) int64; user u owns positions offsets[u] to offsets[u + 1].
        items: (n,) int64 catalogue rows.
        timestamps: (n,) float64 Unix seconds, or None where the data has only an order.
    """

    user_ids: list[str]
    offsets: NDArray[np.int64]
    items: NDArray[np.int64]
    timestamps: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    def __getitem__(self, user: int) -> NDArray[np.int64]:
        """The items of one user, oldest first."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(users,) items of each user."""
        return np.diff(self.offsets)

    def training(self) -> Sequences:
        """What may be learnt from: all but the last two items of every evaluated user.

        Users keep their positions. Users with fewer than MIN_EVALUATED items keep all of them.
        """
        return self.without_newest(2)

    def without_newest(self, count: int) -> Sequences:
        """All but the newest `count` items of every evaluated user.

        Without one it is what a running service has seen when the test item is asked for.
        """
        kept = np.where(self.lengths >= MIN_EVALUATED, self.lengths - count, self.lengths)
        position = np.arange(len(self.items)) - np.repeat(self.offsets[:-1], self.lengths)
        mask = position < np.repeat(kept, self.lengths)
        return Sequences(
            self.user_ids,
            np.concatenate([[0], np.cumsum(kept)]).astype(np.int64),
            self.items[mask],
            None if self.timestamps is None else self.timestamps[mask],
        )

    def holdout(self, split: Split) -> Holdout:
        """The held-out items of every evaluated user: the last (test) or second last (valid).

        A test history includes the validation item.
        """
        users = np.flatnonzero(self.lengths >= MIN_EVALUATED)
        ends = self.offsets[users + 1] - (1 if split == "test" else 2)
        histories = [
            self.items[start:end] for start, end in zip(self.offsets[users], ends, strict=True)
        ]
        return Holdout(users, histories, self.items[ends])

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the content: equal fingerprints mean equal sequences."""
        digest = hashlib.sha256(json.dumps(self.user_ids).encode())
        for name, values in self._arrays().items():
            digest.update(f"{name} {len(values)}".encode())
            digest.update(values.tobytes())
        return digest.hexdigest()

    def save(self, directory: Path) -> None:
        """Write one .npy file an array, then the readable sequences.json that vouches for them."""
        for name, values in self._arrays().items():
            with atomic_path(directory / f"{name}.npy") as partial, partial.open("wb") as file:
                np.save(file, values, allow_pickle=False)
        content = {
            "fingerprint": self.fingerprint,
            "arrays": list(self._arrays()),
            "user_ids": self.user_ids,
        }
        write_json(directory / "sequences.json", content)

    @classmethod
    def load(cls, directory: Path) -> Sequences:
        """Read what `save` wrote.

        Raises:
            RunError: a file is missing, damaged, or from another `save`.
        """
        try:
            content = json.loads((directory / "sequences.json").read_text(encoding="utf-8"))
            arrays = {
                name: np.load(directory / f"{name}.npy", allow_pickle=False)
                for name in content["arrays"]
            }
            sequences = cls(content["user_ids"], **arrays)
            intact = sequences.fingerprint == content["fingerprint"]
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"the sequences in {directory} cannot be read ({error}); delete {directory} and train again"
            ) from error
        if not intact:
            raise RunError(
                f"the sequences in {directory} are damaged; delete {directory} and train again"
            )
        return sequences

    def _arrays(self) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
        arrays: dict[str, NDArray[np.int64] | NDArray[np.float64]] = {
            "offsets": self.offsets,
            "items": self.items,
        }
        if self.timestamps is not None:
            arrays["timestamps"] = self.timestamps
        return arrays
