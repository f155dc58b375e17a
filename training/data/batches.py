"""Training batches: every position of every history is an example.

A long history is cut into windows of `max_history` + 1 items. The encoder reads a window once; each
example of the window names the newest position that it may see and the item that came next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_export.contract.history import PADDING, encode_history


@dataclass(frozen=True)
class Batch:
    """B windows with P examples.

    Attributes:
        rows: (B, H) catalogue rows, right-aligned, padded with PADDING.
        owner: (P,) window of each example.
        newest: (P,) last position of the window that the example may see.
        target: (P,) the row that came next.
        place: (P,) where each target stands among all items of the training histories.
    """

    rows: Tensor
    owner: Tensor
    newest: Tensor
    target: Tensor
    place: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; `place`, which numbers rows of arrays, stays on the CPU."""
        rows, owner, newest, target = (
            part.to(device) for part in (self.rows, self.owner, self.newest, self.target)
        )
        return Batch(rows, owner, newest, target, self.place)

    @property
    def mask(self) -> Tensor:
        """(B, H), True at items."""
        return self.rows != PADDING


@dataclass(frozen=True)
class Windows:
    """All windows of the training histories.

    Attributes:
        items: (n,) catalogue rows of all histories, one after the other.
        start: (windows,) first item of a window.
        end: (windows,) one past its last item, which is a target only.
        first_target: (windows,) first item of the window that is a target here (earlier ones are
            targets of the window before).
    """

    items: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    first_target: NDArray[np.int64]

    @classmethod
    def cut(cls, offsets: NDArray[np.int64], items: NDArray[np.int64], max_history: int) -> Windows:
        """Cut histories, given as `items[offsets[u]:offsets[u + 1]]`, into windows.

        Consecutive windows of one history overlap by half, so that every target but those of the
        first window sees at least max_history / 2 items.
        """
        stride = max(1, max_history // 2)
        start, end, first_target = [], [], []
        for low, high in pairwise(offsets.tolist()):
            first = low + 1
            while first < high:
                last = min(high, max(first + stride, low + max_history + 1))
                start.append(max(low, last - max_history - 1))
                end.append(last)
                first_target.append(first)
                first = last
        return cls(items, *(np.asarray(part, np.int64) for part in (start, end, first_target)))

    def __len__(self) -> int:
        return len(self.start)

    def targets_of(self, window: int) -> NDArray[np.int64]:
        """Places in `items` of the targets of one window."""
        return np.arange(self.first_target[window], self.end[window])


def batches(
    windows: Windows,
    batch_size: int,
    max_targets: int,
    rng: np.random.Generator,
    share: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Shuffled batches of about `batch_size` examples, windows of like length together.

    Args:
        max_targets: at most this many examples of a window are drawn an epoch, at random.
        share: (k, n) for every n-th window of each batch from the k-th on: what the k-th of n
            processes reads. A batch with fewer windows than processes goes to each of them.
    """
    first, stride = share
    size = np.minimum(windows.end - windows.first_target, max_targets)
    order = rng.permutation(len(windows))
    length = windows.end - windows.start
    pool = 64 * batch_size
    cuts = np.flatnonzero(np.diff(np.cumsum(size[order]) // pool)) + 1
    groups = []
    for part in np.split(order, cuts):
        part = part[np.argsort(length[part], kind="stable")]
        inner = np.flatnonzero(np.diff(np.cumsum(size[part]) // batch_size)) + 1
        groups += np.split(part, inner)
    for number in rng.permutation(len(groups)):
        group = groups[number]
        if not len(group):
            continue
        mine = group[first::stride] if len(group) >= stride else group
        yield collate(windows, mine, max_targets, rng)


def collate(
    windows: Windows, chosen: NDArray[np.int64], max_targets: int, rng: np.random.Generator
) -> Batch:
    """The chosen windows as one batch, with at most `max_targets` examples of each."""
    histories = [windows.items[windows.start[w] : windows.end[w] - 1] for w in chosen]
    width = max(len(history) for history in histories)
    rows = encode_history(histories, width)
    owner, newest, place = [], [], []
    for line, window in enumerate(chosen):
        places = windows.targets_of(window)
        if len(places) > max_targets:
            places = np.sort(rng.choice(places, max_targets, replace=False))
        owner.append(np.full(len(places), line))
        newest.append(width - 1 - (windows.end[window] - 1 - places))
        place.append(places)
    tensors = [torch.from_numpy(np.concatenate(part)) for part in (owner, newest, place)]
    target = torch.from_numpy(windows.items[tensors[2].numpy()])
    return Batch(torch.from_numpy(rows), tensors[0], tensors[1], target, tensors[2])
