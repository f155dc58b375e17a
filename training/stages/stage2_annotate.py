"""Stage 2, first: annotate every training example with a reasoning trace.

Iterative inference (see reasoning.py) runs over all histories in shards, which the processes share
among them. A shard that is on disk is not computed again, so the job may be interrupted.
`traces.jsonl` shows some of the traces to a person.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from model_export.contract.catalog import Catalog
from model_export.contract.files import atomic_path
from training import distributed
from training.data.batches import Batch, Windows, collate
from training.model import StreamRec
from training.reasoning import annotate

SHARD = 4096
"""Windows in one shard."""
READABLE = 200
"""Traces written out for a person."""


def annotate_all(
    model: StreamRec, windows: Windows, catalog: Catalog, folder: Path, progress: Progress
) -> tuple[NDArray[np.int64], list[float]]:
    """Label every target of every window, with the residual codebook as it stands.

    Returns:
        (items of all histories, steps) reasoning tokens, -1 where an item is no target; and the
        distance 1 − cos(s_i, t) before the first and after every step, over the readable traces.
    """
    model.eval()
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.full((len(windows.items), model.config.max_steps), -1, dtype=np.int64)
    shards = {
        folder / f"shard-{begin // SHARD:05d}.npy": range(begin, min(begin + SHARD, len(windows)))
        for begin in range(0, len(windows), SHARD)
    }
    own = distributed.own(list(shards))
    task = progress.add_task("stage 2 annotate", total=len(own))
    for file in own:
        if not file.is_file():
            shard = _annotate_shard(model, windows, shards[file])
            with atomic_path(file) as partial, partial.open("wb") as stream:
                np.save(stream, shard, allow_pickle=False)
        progress.advance(task)
    distributed.wait()
    for file in shards:
        shard = np.load(file, allow_pickle=False)
        labels[shard[:, 0]] = shard[:, 1:]
    return labels, distributed.from_first(lambda: _write_readable(model, windows, catalog, folder))


def _annotate_shard(model: StreamRec, windows: Windows, numbers: range) -> NDArray[np.int64]:
    parts = []
    for begin in range(0, len(numbers), 128):
        batch = _whole_batch(windows, numbers[begin : begin + 128])
        tokens, _ = _annotate_batch(model, batch)
        parts.append(np.concatenate([batch.place[:, None].numpy(), tokens], 1))
    return np.concatenate(parts)


def _whole_batch(windows: Windows, numbers: range) -> Batch:
    rng = np.random.default_rng(0)
    return collate(windows, np.asarray(numbers), len(windows.items), rng)


@torch.no_grad()
def _annotate_batch(
    model: StreamRec, batch: Batch
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    device = model.items.tokens.device
    mask = batch.mask.to(device)
    rows = batch.rows.to(device)
    encoded = model.encode(model.item_inputs()[rows.clamp(min=0)], mask)
    context = model.contexts_at(encoded, mask, batch.owner.to(device), batch.newest.to(device))
    target = model.item_targets()[batch.target.to(device)]
    tokens, distance = annotate(model, context, target, model.config.max_steps)
    return tokens.cpu().numpy(), distance.cpu().numpy()


def _write_readable(
    model: StreamRec, windows: Windows, catalog: Catalog, folder: Path
) -> list[float]:
    numbers = range(min(READABLE, len(windows)))
    batch = _whole_batch(windows, numbers)
    tokens, distance = _annotate_batch(model, batch)
    path = folder / "traces.jsonl"
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        longest = np.flatnonzero(np.diff(batch.owner.numpy(), append=-1))
        for example in longest:
            rows = batch.rows[batch.owner[example], : batch.newest[example] + 1]
            steps = [model.vocabulary.level_and_code(int(token)) for token in tokens[example]]
            trace = {
                "history": [catalog[int(row)].label for row in rows if row >= 0],
                "target": catalog[int(batch.target[example])].label,
                "written": [f"level {level} code {code}" for level, code in steps],
                "distance": [round(float(value), 4) for value in distance[example]],
            }
            file.write(json.dumps(trace, ensure_ascii=False) + "\n")
    return [round(float(value), 4) for value in distance.mean(0)]
