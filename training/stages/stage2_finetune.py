"""Stage 2, last: fine-tune on the annotated traces.

Four losses, jointly: (a) states contrasted with the target, later steps weighing more (s_0, which answers
where nobody waits for reasoning, keeps a whole share of its own); (b) residual and
chosen code pulled together; (c) likelihood of [o_1 … o_l] + [c_1 … c_m]; (d) preference of slow
thinking's answer over the direct model's where slow thinking finds the target likelier.

The labels know the target, and a decoder that reads nothing else learns to lean on them. So most examples
(`own_tokens`) read the tokens that the decoder would write itself; along such a path the residuals are its
own too, and the labels are chosen anew from them.

The states learn from soft targets: in part what came next, in part what deliberation expects, on
rankings by those who do not know the answer (see stage2_cross_fit.py). Without soft targets only what thinks
is trained: training items, codes and encoder on by what came next serves the training users alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn

from training import distributed
from training.args import Stage2Config
from training.data.batches import Batch, Windows
from training.decoding import TrieTensors, beam_search, first_step
from training.distributed import tensor
from training.loop import Losses, train_epochs
from training.losses import (
    code_log_likelihood,
    dpo_loss,
    draw_negatives,
    quantization_loss,
    reasoning_log_likelihood,
    state_loss,
    step_weights,
)
from training.model import Context, StreamRec
from training.reasoning import nearest_code, reason
from training.soft_targets import Expected
from training.teacher_forcing import Forced, force

PREFERENCES = 64
"""Examples of a batch, whoever shares it, that the preference loss looks at; each needs a search by the
direct model."""


def finetune(
    model: StreamRec,
    windows: Windows,
    labels: NDArray[np.int64],
    trie: TrieTensors,
    leaf_items: NDArray[np.int64],
    validate: Callable[[], dict[str, float]],
    config: Stage2Config,
    folder: Path,
    seed: int,
    progress: Progress,
    expected: Expected | None = None,
) -> list[dict[str, Any]]:
    """Train the model in place; the model as it comes in is the direct model that DPO compares with.

    Args:
        labels: (items of all histories, steps) annotated reasoning tokens, see stage2_annotate.
        leaf_items: (N,) catalogue row of each leaf of the trie.
        expected: what else than the target could have come next, for the states; see state_loss. None
            trains the thinking parts alone.

    Returns:
        The record of each epoch.
    """
    direct = copy.deepcopy(model).requires_grad_(False).eval()
    rows = tensor(leaf_items)

    def losses(batch: Batch, rng: np.random.Generator) -> Losses:
        label = tensor(labels[batch.place.numpy()])
        soft = expected and expected(batch.place)
        return stage2_losses(model, direct, batch, label, trie, rows, config, rng, soft)

    if not expected:
        model.requires_grad_(False)
        for part in thinking_parts(model):
            part.requires_grad_(True)
    history = train_epochs(
        "stage 2 fine-tune", model, windows, losses, validate, config.optim, folder, seed, progress
    )
    model.requires_grad_(True)
    return history


def thinking_parts(model: StreamRec) -> tuple[nn.Module | nn.Parameter, ...]:
    """Decoder, state head and residual codebook."""
    return (
        model.decoder,
        model.norm_decoded,
        model.decoder_age,
        model.positions,
        model.state_mlp,
        model.state_norm,
        model.state_scale,
        model.code_scale,
        model.residual_mlp,
        model.residual_input,
        model.codebook,
    )


def stage2_losses(
    model: StreamRec,
    direct: StreamRec,
    batch: Batch,
    label: Tensor,
    trie: TrieTensors,
    leaf_items: Tensor,
    config: Stage2Config,
    rng: np.random.Generator,
    expected: tuple[Tensor, Tensor] | None = None,
) -> Losses:
    """Weighted losses of one batch.

    Args:
        direct: the frozen stage-1 model.
        label: (P, l) annotated reasoning tokens.
        expected: as for state_loss.
    """
    encoded = model.encode(model.item_inputs()[batch.rows.clamp(min=0)], batch.mask)
    context = model.contexts_at(encoded, batch.mask, batch.owner, batch.newest)
    reads_own = tensor(rng.random(len(label)) < config.own_tokens)
    read = _tokens_to_read(model, context, label, reads_own)
    reasons = tensor(rng.random(len(label)) < config.prefix_share)
    item = model.items.tokens[batch.target]
    forced = force(model, context, read, item, reasons)
    states = forced.states(model)
    targets = model.item_targets()
    residual = model.residual(targets[batch.target].detach()[:, None], states[:, :-1])
    label = torch.where(reads_own[:, None], nearest_code(model, residual.detach()), label)

    negatives = draw_negatives(len(targets), config.negatives, rng)
    contrasted = first_and_a_later(states, rng)
    ranked = state_loss(
        model, contrasted, targets, batch.target, config.smoothing, negatives, expected
    ).sum()
    quantized = quantization_loss(residual, model.codebook(label), config.commitment)
    written = -reasoning_log_likelihood(model, forced.reasoning, label).sum(1) * reasons
    answer = -code_log_likelihood(model, forced.answer, item)
    tokens = item.shape[1] + label.shape[1] * config.prefix_share
    preferred = _preference(
        model, direct, batch, encoded, read, forced, item, trie, leaf_items, config
    )
    return {
        "state": config.state * ranked,
        "quantization": config.quantization * quantized,
        "generation": config.generation * (answer + written).mean() / tokens,
        "dpo": config.dpo * preferred,
    }


def first_and_a_later(states: Tensor, rng: np.random.Generator) -> Tensor:
    """s_0 and one later state (P, 2, d) of each trace, drawn with its step's weight.

    In expectation the same as all states weighed, for two softmaxes over the catalogue in place of l + 1.
    """
    chances = step_weights(states.shape[1] - 1)
    later = tensor(1 + rng.choice(len(chances), len(states), p=chances))
    return torch.stack([states[:, 0], states[torch.arange(len(states)), later]], 1)


def _tokens_to_read(model: StreamRec, context: Context, label: Tensor, reads_own: Tensor) -> Tensor:
    with torch.no_grad():
        _, own = reason(model, context, label.shape[1])
    return torch.where(reads_own[:, None], own, label)


def _preference(
    model: StreamRec,
    direct: StreamRec,
    batch: Batch,
    encoded: Tensor,
    read: Tensor,
    forced: Forced,
    item: Tensor,
    trie: TrieTensors,
    leaf_items: Tensor,
    config: Stage2Config,
) -> Tensor:
    """DPO over (trace, target) against the direct model's own answer, where thinking helped."""
    if not config.dpo:
        return forced.answer.new_zeros(())
    few = slice(0, -(-PREFERENCES // distributed.count()))
    owner, newest = batch.owner[few], batch.newest[few]
    read, item = read[few], item[few]
    blind = torch.zeros(len(item), dtype=torch.bool)
    with torch.no_grad():
        known = direct.encode(direct.item_inputs()[batch.rows.clamp(min=0)], batch.mask)
        before = direct.contexts_at(known, batch.mask, owner, newest)
        allowed = torch.ones(len(item), len(leaf_items), dtype=torch.bool)
        cache = first_step(direct, before).cache
        leaves, rejected_reference = beam_search(direct, before, cache, trie, 1, allowed)
        rejected_row = leaf_items[leaves[:, 0]]
        slow_reference = force(direct, before, read, item)
        fast_reference = force(direct, before, read, item, blind)
        chosen_reference = _sequence_log_likelihood(direct, slow_reference, read, item)
        target_directly = code_log_likelihood(direct, fast_reference.answer, item)
    context = model.contexts_at(encoded, batch.mask, owner, newest)
    slow = force(model, context, read, item)
    rejected_item = model.items.tokens[rejected_row]
    rejected = code_log_likelihood(
        model, force(model, context, read, rejected_item, blind).answer, rejected_item
    )
    helped = code_log_likelihood(model, slow.answer, item).detach() > target_directly
    pairs = helped & (rejected_row != batch.target[few])
    if not pairs.any():
        return forced.answer.sum() * 0
    chosen = _sequence_log_likelihood(model, slow, read, item)
    return dpo_loss(
        chosen[pairs],
        rejected[pairs],
        chosen_reference[pairs],
        rejected_reference[pairs, 0],
        config.dpo_beta,
    )


def _sequence_log_likelihood(
    model: StreamRec, forced: Forced, reasoning: Tensor, item: Tensor
) -> Tensor:
    written = reasoning_log_likelihood(model, forced.reasoning, reasoning).sum(1)
    return written + code_log_likelihood(model, forced.answer, item)
