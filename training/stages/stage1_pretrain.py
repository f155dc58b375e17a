"""Stage 1: pretraining on behaviour.

Target of every example: [codes of items similar to the target (q tokens)] + [m codes of the target]. The
synthetic prefix teaches the decoder to write longer outputs; examples without it keep the same weights
able to answer at once. Beside the likelihood of all tokens, state s_0 learns to rank the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor

from training.args import Stage1Config
from training.data.batches import Batch, Windows
from training.decoding import first_step
from training.distributed import tensor
from training.loop import Losses, train_epochs
from training.losses import (
    code_log_likelihood,
    draw_negatives,
    reasoning_log_likelihood,
    state_loss,
)
from training.model import StreamRec
from training.teacher_forcing import force


def pretrain(
    model: StreamRec,
    windows: Windows,
    similar: NDArray[np.int64],
    validate: Callable[[], dict[str, float]] | None,
    config: Stage1Config,
    folder: Path,
    seed: int,
    progress: Progress,
    name: str = "stage 1",
) -> list[dict[str, Any]]:
    """Train the model in place.

    Args:
        similar: (N, k) rows of the items most similar to each item.

    Returns:
        The record of each epoch.
    """

    def losses(batch: Batch, rng: np.random.Generator) -> Losses:
        return stage1_losses(model, batch, similar, config, rng)

    return train_epochs(
        name, model, windows, losses, validate, config.optim, folder, seed, progress
    )


def stage1_losses(
    model: StreamRec,
    batch: Batch,
    similar: NDArray[np.int64],
    config: Stage1Config,
    rng: np.random.Generator,
) -> Losses:
    """Weighted losses of one batch: likelihood of prefix and item codes, softmax of state s_0."""
    encoded = model.encode(model.item_inputs()[batch.rows.clamp(min=0)], batch.mask)
    context = model.contexts_at(encoded, batch.mask, batch.owner, batch.newest)
    targets = model.item_targets()
    negatives = draw_negatives(len(targets), config.negatives, rng)
    if not config.generation:
        state = first_step(model, context).state[:, None]
        ranked = state_loss(model, state, targets, batch.target, config.smoothing, negatives)
        return {"state": config.state * ranked.sum()}
    prefix = similar_prefix(model, batch.target, similar, rng)
    reasons = tensor(rng.random(len(batch.target)) < config.prefix_share)
    item = model.items.tokens[batch.target]
    forced = force(model, context, prefix, item, reasons)
    answer = -code_log_likelihood(model, forced.answer, item)
    written = -reasoning_log_likelihood(model, forced.reasoning, prefix).sum(1) * reasons
    tokens = item.shape[1] + prefix.shape[1] * config.prefix_share
    state = model.state(forced.reasoning[:, :1])
    ranked = state_loss(model, state, targets, batch.target, config.smoothing, negatives)
    return {
        "generation": config.generation * (answer + written).mean() / tokens,
        "state": config.state * ranked.sum(),
    }


def similar_prefix(
    model: StreamRec, target: Tensor, similar: NDArray[np.int64], rng: np.random.Generator
) -> Tensor:
    """Codes (P, q) of randomly drawn items similar to the targets (P,); q is the model's max_steps."""
    levels, q = model.vocabulary.levels, model.config.max_steps
    items = -(-q // levels)
    rows = similar[target.cpu().numpy()]
    drawn = rng.permuted(rows, axis=1)[:, :items]
    prefix: Tensor = model.items.tokens[torch.from_numpy(drawn).to(target.device)]
    return prefix.flatten(1)[:, :q]
