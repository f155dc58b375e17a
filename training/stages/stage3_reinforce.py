"""Stage 3: reinforcement learning with GRPO.

For each example a group of traces is sampled (reasoning tokens, then the item's codes under the trie) and
rewarded; a trace's advantage is its reward relative to the group. Clipped likelihood ratios and a KL
penalty to the stage-2 model bound each update. Groups in which all rewards agree are dropped. The
encoder is frozen: only the decoder, which thinks, is reinforced.

Left out of GRPO as published: nothing is averaged over sequence length, since all traces are equally long.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn

from training import distributed
from training.args import Stage3Config
from training.checkpoint import Course
from training.data.batches import Batch, Windows, batches
from training.decoding import TrieTensors, children
from training.distributed import tensor
from training.layers import MASKED
from training.loop import seeded
from training.losses import code_log_likelihood
from training.model import Context, StreamRec
from training.reasoning import reason, sampled
from training.rewards import (
    REWARDS,
    format_reward,
    group_advantages,
    likelihood_reward,
    match_reward,
    rank_reward,
    similarity_reward,
)
from training.teacher_forcing import force


@dataclass(frozen=True)
class Rollout:
    """Sampled traces of E examples, G each, flattened to (E·G, …).

    Attributes:
        reasoning: (E·G, l) tokens.
        item: (E·G, m) code tokens of the answer.
        nodes: (E·G, m) trie node before each code.
        slots: (E·G, m) which child of the node was chosen.
        free_possible: (E·G, m) whether the decoder's own first choice was possible.
    """

    reasoning: Tensor
    item: Tensor
    nodes: Tensor
    slots: Tensor
    free_possible: Tensor


def reinforce(
    model: StreamRec,
    windows: Windows,
    trie: TrieTensors,
    validate: Callable[[], dict[str, float]],
    config: Stage3Config,
    folder: Path,
    seed: int,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Train the decoder in place and leave the best weights in `model`.

    Returns:
        One record per validation: mean rewards since the last one, KL, entropy, informative share, metrics.
    """
    reference = copy.deepcopy(model).requires_grad_(False).eval()
    policy = reinforced_parameters(model)
    optimizer = torch.optim.AdamW(policy, lr=config.learning_rate, weight_decay=0)
    log_probs = distributed.data_parallel(model, partial(policy_log_probs, model), bfloat16=False)
    share = distributed.share()
    course = Course(folder, model, optimizer, lambda: {"step": 0, "best": validate()["objective"]})
    state = course.state
    task = progress.add_task("stage 3", total=config.steps, completed=state["step"])
    model.eval()
    while state["step"] < config.steps:
        records = []
        for _ in range(min(config.validate_every, config.steps - state["step"])):
            state["step"] += 1
            rng = seeded(seed, "stage 3", state["step"])
            batch = next(batches(windows, config.users, 1, rng, share))
            batch = batch.to(torch.get_default_device())
            records.append(
                update(model, reference, log_probs, batch, trie, optimizer, policy, config, rng)
            )
            progress.update(task, completed=state["step"])
        metrics = validate()
        means = {
            key: distributed.mean(float(np.mean([r[key] for r in records]))) for key in records[0]
        }
        course.keep(
            {"step": state["step"], "rewards": means, "metrics": metrics}, metrics["objective"]
        )
    return course.finish()


def reinforced_parameters(model: StreamRec) -> list[nn.Parameter]:
    """What the policy gradient moves: decoder layers, their norms, positions and temperature."""
    parts = (model.decoder, model.norm_decoded, model.positions, model.decoder_age)
    return [*(p for part in parts for p in part.parameters()), model.code_scale]


def update(
    model: StreamRec,
    reference: StreamRec,
    log_probs: Callable[..., tuple[Tensor, Tensor]],
    batch: Batch,
    trie: TrieTensors,
    optimizer: torch.optim.Optimizer,
    policy: list[nn.Parameter],
    config: Stage3Config,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Sample, reward and update once; returns the mean of every reward and of KL and entropy.

    Args:
        log_probs: `policy_log_probs` of the model.
    """
    group = config.group
    with torch.no_grad():
        encoded = model.encode(model.item_inputs()[batch.rows.clamp(min=0)], batch.mask)
        owner = batch.owner.repeat_interleave(group)
        newest = batch.newest.repeat_interleave(group)
        context = model.contexts_at(encoded, batch.mask, owner, newest)
        generator = torch.Generator(torch.get_default_device())
        generator.manual_seed(int(rng.integers(2**62)))
        rollout = roll_out(model, context, trie, config.temperature, generator)
        rewards = reward_traces(model, batch, encoded, context, rollout, config, rng)
        total = sum(getattr(config.rewards, name) * rewards[name] for name in REWARDS)
        assert isinstance(total, Tensor)
        advantage, informative = group_advantages(total)
        advantage = (advantage * informative[:, None]).flatten()
        before, _ = log_probs(encoded, batch.mask, owner, newest, rollout, trie, config.temperature)
        known = reference.contexts_at(encoded, batch.mask, owner, newest)
        anchor, _ = trace_log_probs(reference, known, rollout, trie, config.temperature)
    kl = entropy = torch.zeros(())
    for _ in range(config.inner_updates):
        now, entropy = log_probs(
            encoded, batch.mask, owner, newest, rollout, trie, config.temperature
        )
        ratio = (now - before).exp()
        clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
        gain = torch.minimum(ratio * advantage[:, None], clipped * advantage[:, None])
        gap = anchor - now
        kl = (gap.exp() - gap - 1).mean()
        loss = -gain.mean() + config.kl * kl
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(policy, 1.0)
        optimizer.step()
    return {
        **{name: float(value.mean()) for name, value in rewards.items()},
        "total": float(total.mean()),
        "kl": float(kl.detach()),
        "entropy": float(entropy.detach().mean()),
        "informative": float(informative.float().mean()),
    }


def roll_out(
    model: StreamRec,
    context: Context,
    trie: TrieTensors,
    temperature: float,
    generator: torch.Generator,
) -> Rollout:
    """Sample one trace for every row of the context: l reasoning tokens, then m codes under the trie."""
    choose = sampled(temperature, generator)
    steps, reasoning = reason(model, context, model.config.max_steps, choose)
    cache, size = steps[-1].cache, len(reasoning)
    token = reasoning.new_full((size, 1), model.vocabulary.answer)
    node = reasoning.new_zeros(size, 1)
    leaves = trie.leaf_range[-1].shape[0]
    everything = torch.arange(leaves + 1)[None].expand(size, -1)
    items, nodes, slots, free = [], [], [], []
    for level in range(model.vocabulary.levels):
        x = model.answer_inputs(token, token.new_tensor([level]))
        decoded, cache, _ = model.decode(x, cache, x.new_zeros(1), context)
        logits = model.token_logits(decoded)[:, 0, model.vocabulary.level_slice(level)]
        codes, possible = children(trie, level, node, everything)
        codes, possible = codes[:, 0], possible[:, 0]
        within = logits.gather(1, codes.clamp(min=0)).masked_fill(~possible, MASKED)
        slot = choose(within)[:, None]
        nodes.append(node)
        slots.append(slot)
        free.append(((codes == logits.argmax(1, keepdim=True)) & possible).any(1, keepdim=True))
        token = codes.gather(1, slot) + model.vocabulary.offsets[level]
        items.append(token)
        node = trie.first_child[level][node] + slot
    return Rollout(reasoning, *(torch.cat(part, 1) for part in (items, nodes, slots, free)))


def policy_log_probs(
    model: StreamRec,
    encoded: Tensor,
    mask: Tensor,
    owner: Tensor,
    newest: Tensor,
    rollout: Rollout,
    trie: TrieTensors,
    temperature: float,
) -> tuple[Tensor, Tensor]:
    """`trace_log_probs` after the given positions of encoded histories."""
    context = model.contexts_at(encoded, mask, owner, newest)
    return trace_log_probs(model, context, rollout, trie, temperature)


def trace_log_probs(
    model: StreamRec, context: Context, rollout: Rollout, trie: TrieTensors, temperature: float
) -> tuple[Tensor, Tensor]:
    """What `roll_out` drew from: log π of every token of every trace (E·G, l + m), codes under the trie.

    Also the mean entropy of the reasoning tokens (E·G,).
    """
    forced = force(model, context, rollout.reasoning, rollout.item)
    written = (model.token_logits(forced.reasoning[:, :-1]) / temperature).log_softmax(-1)
    parts = [written.gather(-1, rollout.reasoning[..., None])[..., 0]]
    entropy = -(written.exp() * written).sum(-1).mean(-1)
    logits = model.token_logits(forced.answer) / temperature
    for level in range(model.vocabulary.levels):
        codes = trie.child_codes[level][rollout.nodes[:, level]]
        here = logits[:, level, model.vocabulary.level_slice(level)]
        within = here.gather(1, codes.clamp(min=0)).masked_fill(codes < 0, MASKED)
        parts.append(within.log_softmax(-1).gather(1, rollout.slots[:, level, None]))
    return torch.cat(parts, 1), entropy


def reward_traces(
    model: StreamRec,
    batch: Batch,
    encoded: Tensor,
    context: Context,
    rollout: Rollout,
    config: Stage3Config,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """Every reward of every trace, (E, G) each."""
    grouped = (len(batch.target), config.group)
    target_item = model.items.tokens[batch.target]
    per_trace = target_item.repeat_interleave(config.group, 0)
    thinking = force(model, context, rollout.reasoning, per_trace)
    state = thinking.states(model)[:, -1]
    vectors = model.item_targets()
    target = vectors[batch.target]
    direct_context = model.contexts_at(encoded, batch.mask, batch.owner, batch.newest)
    unread = rollout.reasoning.unflatten(0, grouped)[:, 0]
    blind = torch.zeros(len(target), dtype=torch.bool)
    directly = force(model, direct_context, unread, target_item, blind)
    negatives = vectors[tensor(rng.integers(len(vectors), size=config.negatives))]
    state = state.unflatten(0, grouped)
    return {
        "format": format_reward(rollout.free_possible.unflatten(0, grouped)),
        "match": match_reward(rollout.item.unflatten(0, grouped), target_item),
        "similarity": similarity_reward(state, target),
        "likelihood": likelihood_reward(
            code_log_likelihood(model, thinking.answer, per_trace).unflatten(0, grouped),
            code_log_likelihood(model, directly.answer, target_item),
        ),
        "rank": rank_reward(state @ negatives.T, similarity_reward(state, target)),
    }
