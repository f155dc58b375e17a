"""Transformer parts that the encoder, the decoder and the deliberator share.

Attention takes keys and values apart from queries, so the same layer serves parallel training, a
growing KV cache and beams that share one cross-attention cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MASKED = -1e9
"""Finite stand-in for minus infinity: a fully masked row stays free of NaN."""


def additive_mask(allowed: Tensor) -> Tensor:
    """Boolean mask (True = may attend) to what is added to attention scores."""
    return torch.zeros_like(allowed, dtype=torch.float32).masked_fill(~allowed, MASKED)


def with_sizes(x: Tensor, *sizes: int) -> Tensor:
    """x (B, Q, …) with other sizes after B and Q."""
    if torch.onnx.is_in_onnx_export():
        return _Reshape.apply(x, *sizes)
    return x.reshape(*x.shape[:2], *sizes)


class _Reshape(torch.autograd.Function):
    """One operator in an exported graph, where torch's own would work out B and Q by a dozen."""

    @staticmethod
    def forward(_: Any, x: Tensor, *sizes: int) -> Tensor:
        return x.reshape(*x.shape[:2], *sizes)

    @staticmethod
    def symbolic(graph: Any, x: Any, *sizes: int) -> Any:
        return graph.op("Reshape", x, graph.op("Constant", value_t=torch.tensor([0, -1, *sizes])))


class Attention(nn.Module):
    """Multi-head attention with keys and values computed apart."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        if d_model % heads:
            raise ValueError(f"d_model {d_model} must be divisible by heads {heads}")
        self.heads, self.width = heads, d_model // heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.output = nn.Linear(d_model, d_model)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, K, d) of `memory` (B, K, d)."""
        return self.key(memory), self.value(memory)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend from x (B, Q, d) to keys and values (B, K, d).

        Args:
            bias: added to the scores, broadcastable to (B, heads, Q, K); holds mask and distances.

        Returns:
            The output (B, Q, d) and the attention (B, Q, K) averaged over heads.
        """
        q, k, v = (self._split(part) for part in (self.query(x), keys, values))
        scores = q @ k.transpose(-1, -2) * self.width**-0.5 + bias
        weights = scores.softmax(-1)
        mixed = with_sizes((weights @ v).transpose(1, 2), self.heads * self.width)
        return self.output(mixed), weights.mean(1)

    def _split(self, x: Tensor) -> Tensor:
        return with_sizes(x, self.heads, self.width).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with GELU."""

    def __init__(self, d_model: int, width: int) -> None:
        super().__init__()
        self.expand = nn.Linear(d_model, width)
        self.contract = nn.Linear(width, d_model)

    def forward(self, x: Tensor) -> Tensor:
        return self.contract(F.gelu(self.expand(x)))


class DistanceBias(nn.Module):
    """A learned bias per head for each distance between two history positions (T5-like).

    Distances are counted from the end of the history, so left padding changes nothing.
    """

    def __init__(self, heads: int, max_distance: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(heads, max_distance + 1))

    def forward(self, distance: Tensor) -> Tensor:
        """Distances (..., Q, K) ≥ 0 to biases (..., heads, Q, K)."""
        bias = self.table[:, distance.clamp(0, self.table.shape[1] - 1)]
        return bias.movedim(0, -3)


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    def __init__(self, d_model: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(d_model, heads)
        self.feedforward = FeedForward(d_model, feedforward)
        self.norm_attention = nn.LayerNorm(d_model)
        self.norm_feedforward = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(B, H, d) to (B, H, d)."""
        normed = self.norm_attention(x)
        attended, _ = self.attention(normed, *self.attention.keys_values(normed), bias)
        x = x + self.dropout(attended)
        return x + self.dropout(self.feedforward(self.norm_feedforward(x)))


class DecoderLayer(nn.Module):
    """Pre-norm self-attention over a cache, cross-attention over the history, feed-forward."""

    def __init__(self, d_model: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(d_model, heads)
        self.cross_attention = Attention(d_model, heads)
        self.feedforward = FeedForward(d_model, feedforward)
        self.norm_self = nn.LayerNorm(d_model)
        self.norm_cross = nn.LayerNorm(d_model)
        self.norm_feedforward = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        past: tuple[Tensor, Tensor],
        self_bias: Tensor,
        cross: tuple[Tensor, Tensor],
        cross_bias: Tensor,
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
        """Decode Q positions x (B, Q, d) after P cached ones.

        Args:
            past: keys and values (B, P, d) of earlier positions.
            self_bias: broadcastable to (B, heads, Q, P + Q).
            cross: keys and values (B, H, d) of the history.
            cross_bias: broadcastable to (B, heads, Q, H).

        Returns:
            The output (B, Q, d), the grown cache (B, P + Q, d), the cross-attention (B, Q, H).
        """
        normed = self.norm_self(x)
        keys, values = self.self_attention.keys_values(normed)
        cache = torch.cat([past[0], keys], 1), torch.cat([past[1], values], 1)
        attended, _ = self.self_attention(normed, *cache, self_bias)
        x = x + self.dropout(attended)
        attended, attention = self.cross_attention(self.norm_cross(x), *cross, cross_bias)
        x = x + self.dropout(attended)
        x = x + self.dropout(self.feedforward(self.norm_feedforward(x)))
        return x, cache, attention
