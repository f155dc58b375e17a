"""The encoder–decoder: reads a history, writes reasoning tokens, then the codes of an item.

    items ──► encoder (causal, one position per item) ──► cross keys and values
    THINK o_1 … o_n ANSWER c_1 … c_m ──► decoder ──► d_0 … d_n (reasoning), code logits (answer)
    s_i = MLP_s(d_0 + … + d_i)  compared with every item vector: a complete ranking at each step

One position per item (the sum of its code embeddings and its vector) is four times shorter than the
paper's m tokens per item. The encoder is causal, so one pass serves every position of a history as a
training example.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_export.contract.config import ModelConfig
from model_export.contract.history import PADDING
from model_export.contract.semantic_ids import CodeVocabulary
from training.layers import (
    DecoderLayer,
    DistanceBias,
    EncoderLayer,
    FeedForward,
    additive_mask,
)

Cache = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Context:
    """A read history, ready to be attended to by the decoder.

    Attributes:
        cross: per decoder layer keys and values (B, H, d), shared by all steps and beams.
        bias: (B, heads, 1, H) mask and age of each history position.
        current: (B, d) the encoder's output at the newest item.
    """

    cross: Cache
    bias: Tensor
    current: Tensor


class ItemVectors(nn.Module):
    """Item vectors shared by input and output: LN(W · text vector + free embedding).

    An item that nobody met has no free embedding and is placed by its text: it would learn one as
    a wrong answer only, and never be recommended.
    """

    def __init__(self, text: Tensor, tokens: Tensor, met: Tensor, d_model: int) -> None:
        super().__init__()
        self.text: Tensor
        self.tokens: Tensor
        self.met: Tensor
        self.register_buffer("met", met[:, None].to(text), persistent=False)
        self.register_buffer("text", text)
        self.register_buffer("tokens", tokens)
        self.project = nn.Linear(text.shape[1], d_model, bias=False)
        self.free = nn.Embedding(len(text), d_model)
        self.norm = nn.LayerNorm(d_model)
        nn.init.normal_(self.project.weight, std=0.12 * (128 / max(1, text.shape[1])) ** 0.5)
        nn.init.normal_(self.free.weight, std=0.02)

    def forward(self) -> Tensor:
        """(N, d)."""
        return self.norm(self.project(self.text) + self.met * self.free.weight)


class StreamRec(nn.Module):
    """Encoder, decoder, state head and residual codebook.

    Args:
        config: shape of the network.
        vocabulary: token numbering of the semantic IDs.
        text: (N, text dims) float item text vectors.
        codes: (N, levels) semantic IDs.
        met: (N,) which items the histories hold that are learnt from.
    """

    def __init__(
        self,
        config: ModelConfig,
        vocabulary: CodeVocabulary,
        text: Tensor,
        codes: Tensor,
        met: Tensor,
    ) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        d, heads, ff = config.d_model, config.heads, config.feedforward
        offsets = torch.tensor(vocabulary.offsets)
        self.items = ItemVectors(text, codes + offsets, met, d)
        self.tokens = nn.Embedding(vocabulary.n_tokens, d)
        self.positions = nn.Embedding(config.max_steps + 1 + vocabulary.levels, d)
        self.encoder = nn.ModuleList(
            EncoderLayer(d, heads, ff, config.dropout) for _ in range(config.encoder_layers)
        )
        self.decoder = nn.ModuleList(
            DecoderLayer(d, heads, ff, config.dropout) for _ in range(config.decoder_layers)
        )
        self.encoder_distance = DistanceBias(heads, config.max_history)
        self.decoder_age = DistanceBias(heads, config.max_history)
        self.norm_input = nn.LayerNorm(d)
        self.norm_encoded = nn.LayerNorm(d)
        self.norm_decoded = nn.LayerNorm(d)
        self.dropout = nn.Dropout(config.dropout)
        self.state_mlp = FeedForward(d, ff)
        self.state_norm = nn.LayerNorm(d)
        self.state_scale = nn.Parameter(torch.tensor(2.5))
        self.code_scale = nn.Parameter(torch.tensor(2.0))
        self.residual_mlp = FeedForward(d, ff)
        self.codebook = nn.Embedding(vocabulary.n_codes, d)
        self.residual_input = nn.Linear(d, d, bias=False)
        for embedding in (self.tokens, self.positions, self.codebook):
            nn.init.normal_(embedding.weight, std=0.05)
        for start_as_identity in (self.state_mlp.contract, self.residual_mlp.contract):
            nn.init.zeros_(start_as_identity.weight)
            nn.init.zeros_(start_as_identity.bias)
        nn.init.zeros_(self.residual_input.weight)

    # --- items -------------------------------------------------------------------------------

    def item_targets(self) -> Tensor:
        """Unit item vectors t (N, d), what states are compared with."""
        return F.normalize(self.items(), dim=-1)

    def item_inputs(self) -> Tensor:
        """Encoder input of every item (N, d): its vector and the sum of its code embeddings."""
        return self.norm_input(self.items() + self.tokens(self.items.tokens).sum(1))

    # --- encoder -----------------------------------------------------------------------------

    def encode(self, history: Tensor, mask: Tensor) -> Tensor:
        """Read item inputs (B, H, d), right-aligned; mask (B, H) is True at items. Returns (B, H, d)."""
        length = history.shape[1]
        position = torch.arange(length, device=history.device)
        distance = position[:, None] - position[None, :]
        allowed = (distance >= 0) & mask[:, None, :]
        bias = additive_mask(allowed)[:, None] + self.encoder_distance(distance)
        x = self.dropout(history)
        for layer in self.encoder:
            x = layer(x, bias)
        return self.norm_encoded(x)

    def context(self, encoded: Tensor, mask: Tensor) -> Context:
        """Prepare decoding after the last position of encoded histories (B, H, d)."""
        length = encoded.shape[1]
        age = torch.arange(length - 1, -1, -1, device=encoded.device)[None, :]
        bias = additive_mask(mask)[:, None, None, :] + self.decoder_age(age)
        return Context(self._cross(encoded), bias, encoded[:, -1])

    def contexts_at(self, encoded: Tensor, mask: Tensor, owner: Tensor, newest: Tensor) -> Context:
        """Prepare decoding after many positions of the same histories at once.

        Args:
            encoded: (B, H, d) from `encode`, which is causal, so a prefix was read as if alone.
            owner: (P,) row of `encoded` that each example belongs to.
            newest: (P,) position of the newest item that the example may see.
        """
        position = torch.arange(encoded.shape[1], device=encoded.device)
        age = newest[:, None] - position[None, :]
        allowed = mask[owner] & (age >= 0)
        bias = additive_mask(allowed)[:, None, None, :] + self.decoder_age(age[:, None, :])
        cross = [(keys[owner], values[owner]) for keys, values in self._cross(encoded)]
        return Context(cross, bias, encoded[owner, newest])

    def _cross(self, encoded: Tensor) -> Cache:
        layers = cast("Iterable[DecoderLayer]", self.decoder)
        return [layer.cross_attention.keys_values(encoded) for layer in layers]

    def read(self, rows: Tensor) -> Context:
        """Read right-aligned catalogue rows (B, H), padded with PADDING."""
        mask = rows != PADDING
        return self.context(self.encode(self.item_inputs()[rows.clamp(min=0)], mask), mask)

    # --- decoder -----------------------------------------------------------------------------

    def empty_cache(self, x: Tensor) -> Cache:
        """A cache of no positions before decoder input x (B, Q, d)."""
        return [(x[:, :0], x[:, :0]) for _ in self.decoder]

    def reasoning_inputs(self, tokens: Tensor, first_step: int) -> Tensor:
        """Decoder input (B, Q, d) of reasoning tokens (B, Q) written at first_step, first_step + 1, …"""
        step = torch.arange(first_step, first_step + tokens.shape[1], device=tokens.device)
        codes = self.residual_input(self.codebook(tokens))
        return self.tokens(tokens) + codes + self.positions(step)

    def think_input(self, context: Context) -> Tensor:
        """Decoder input (B, 1, d) of step 0: THINK, carrying the encoder's view of the newest item."""
        control = self.tokens.weight[self.vocabulary.think] + self.positions.weight[0]
        return (control + context.current)[:, None]

    def answer_inputs(self, tokens: Tensor, level: Tensor) -> Tensor:
        """Decoder input (B, Q, d) of ANSWER and codes.

        Args:
            tokens: (B, Q).
            level: (Q,), or (1,) for beams, which codes each token precedes: 0 for ANSWER.
        """
        return self.tokens(tokens) + self.positions(self.config.max_steps + 1 + level)

    def decode(
        self, x: Tensor, past: Cache, self_bias: Tensor, context: Context
    ) -> tuple[Tensor, Cache, Tensor]:
        """Run the decoder on Q positions x (B, Q, d) after the cached ones.

        Returns:
            Outputs d (B, Q, d), the grown cache, cross-attention of the last layer (B, Q, H).
        """
        x = self.dropout(x)
        cache, attention = [], x
        for layer, cached, cross in zip(self.decoder, past, context.cross, strict=True):
            x, grown, attention = layer(x, cached, self_bias, cross, context.bias)
            cache.append(grown)
        return self.norm_decoded(x), cache, attention

    # --- heads -------------------------------------------------------------------------------

    def state(self, thought: Tensor) -> Tensor:
        """Unit state s_i (..., d) from the sum of decoder outputs d_0 … d_i (paper: MLP_s)."""
        x = self.state_norm(thought)
        return F.normalize(x + self.state_mlp(x), dim=-1)

    def item_logits(self, state: Tensor, targets: Tensor) -> Tensor:
        """Scaled cosine of states (..., d) with unit item vectors (N, d): logits (..., N)."""
        return (state * self.state_scale.exp()) @ targets.T

    def token_logits(self, decoded: Tensor, level: int | None = None) -> Tensor:
        """Logits (..., codes) of the next token; cosine at a learned temperature.

        Args:
            level: whose codes are asked for; those of all levels if not given.
        """
        asked = (
            slice(self.vocabulary.n_codes) if level is None else self.vocabulary.level_slice(level)
        )
        codes = F.normalize(self.tokens.weight[asked], dim=-1)
        return F.normalize(decoded, dim=-1) @ codes.T * self.code_scale.exp()

    def residual(self, target: Tensor, state: Tensor) -> Tensor:
        """r = MLP_r(t − s): what the state still lacks (paper, iterative inference)."""
        gap = target - state
        return gap + self.residual_mlp(gap)
