"""Decoding with a KV cache: reasoning steps, then a trie-constrained beam search over item codes.

Beams are queries of one decoder call: cross-attention keys are shared by all of them, and keys of
earlier codes stay where they are; a mask of ancestors says which of them a beam may see.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model_export.contract.prefix_index import PrefixIndex
from training.layers import MASKED, additive_mask
from training.model import Cache, Context, StreamRec

DEAD = MASKED / 2
"""A beam whose log-likelihood fell below this holds no item."""


@dataclass(frozen=True)
class Step:
    """Where the decoder stands after reasoning step i.

    Attributes:
        decoded: (B, d) output d_i.
        thought: (B, d) sum d_0 + … + d_i.
        state: (B, d) s_i.
        cache: keys and values of the i + 1 positions so far.
        attention: (B, H) cross-attention of this step.
    """

    decoded: Tensor
    thought: Tensor
    state: Tensor
    cache: Cache
    attention: Tensor

    @property
    def index(self) -> int:
        """i, the number of reasoning tokens written."""
        return self.cache[0][0].shape[1] - 1


def first_step(model: StreamRec, context: Context) -> Step:
    """Step 0: read THINK, write nothing yet."""
    return _advance(model, context, model.think_input(context), None)


def next_step(model: StreamRec, context: Context, step: Step, token: Tensor) -> Step:
    """Write the reasoning token (B,) and take one more step."""
    return _advance(model, context, model.reasoning_inputs(token[:, None], step.index + 1), step)


def _advance(model: StreamRec, context: Context, x: Tensor, before: Step | None) -> Step:
    past = before.cache if before else model.empty_cache(x)
    no_mask = x.new_zeros(1)
    decoded, cache, attention = model.decode(x, past, no_mask, context)
    decoded = decoded[:, 0]
    thought = before.thought + decoded if before else decoded
    return Step(decoded, thought, model.state(thought), cache, attention[:, 0])


@dataclass(frozen=True)
class TrieTensors:
    """The tables of a PrefixIndex as tensors."""

    child_codes: list[Tensor]
    first_child: list[Tensor]
    leaf_range: list[Tensor]

    @classmethod
    def of(cls, index: PrefixIndex, device: torch.device | str = "cpu") -> TrieTensors:
        return cls(
            *(
                [torch.from_numpy(table).to(device) for table in tables]
                for tables in (index.child_codes, index.first_child, index.leaf_range)
            )
        )


def children(
    trie: TrieTensors, level: int, node: Tensor, allowed_before: Tensor
) -> tuple[Tensor, Tensor]:
    """The children of trie nodes (B, W) of one level.

    Args:
        allowed_before: (B, N + 1) how many allowed leaves stand before each leaf.

    Returns:
        Codes (B, W, fan-out), and which of them lead to an allowed item (B, W, fan-out).
    """
    codes = trie.child_codes[level][node]
    slot = torch.arange(codes.shape[-1], device=codes.device)
    child = trie.first_child[level][node][..., None] + slot
    span = trie.leaf_range[level][child.clamp(max=trie.leaf_range[level].shape[0] - 1)]
    flat = span.flatten(1)
    count = allowed_before.gather(1, flat).reshape(span.shape)
    return codes, (codes >= 0) & (count[..., 1] > count[..., 0])


def beam_search(
    model: StreamRec, context: Context, cache: Cache, trie: TrieTensors, width: int, allowed: Tensor
) -> tuple[Tensor, Tensor]:
    """The `width` most likely items after the reasoning that `cache` holds.

    Args:
        allowed: (B, N) which leaves may be generated; the constraint holds at every level.

    Returns:
        Leaf numbers (B, width), best first, -1 where no allowed item was left; their
        log-likelihoods log p(c_1 … c_m | reasoning).
    """
    batch, levels = allowed.shape[0], model.vocabulary.levels
    before = torch.cat([allowed.new_zeros(batch, 1, dtype=torch.long), allowed.long().cumsum(1)], 1)
    node = torch.zeros_like(before[:, :1])
    total = torch.zeros_like(node, dtype=torch.float32)
    token = torch.full_like(node, model.vocabulary.answer)
    own = torch.eye(width, dtype=torch.bool, device=node.device)[None].expand(batch, -1, -1)
    visible = allowed.new_ones(batch, 1, cache[0][0].shape[1] + 1)
    for level in range(levels):
        x = model.answer_inputs(token, node.new_tensor([level]))
        decoded, cache, _ = model.decode(x, cache, additive_mask(visible)[:, None], context)
        codes, possible = children(trie, level, node, before)
        log_p = model.token_logits(decoded, level).log_softmax(-1).gather(-1, codes.clamp(min=0))
        scores = (total[..., None] + log_p).masked_fill(~possible, MASKED)
        padding = scores.new_full((batch, width), MASKED)
        total, best = torch.cat([scores.flatten(1), padding], 1).topk(width, dim=1)
        fan_out = codes.shape[-1]
        parent = (best // fan_out).clamp(max=node.shape[1] - 1)
        slot = best - parent * fan_out
        alive = total > DEAD
        code = codes.flatten(1).gather(1, best.clamp(max=node.shape[1] * fan_out - 1))
        node = trie.first_child[level][node.gather(1, parent)] + slot
        node = torch.where(alive, node, torch.zeros_like(node))
        token = code.clamp(min=0) + model.vocabulary.offsets[level]
        inherited = visible.gather(1, parent[..., None].expand(-1, -1, visible.shape[2]))
        visible = torch.cat([inherited, own], 2)
    return torch.where(total > DEAD, node, torch.full_like(node, -1)), total
