"""Deliberation: rounds of thought over the candidates, with all evidence at hand.

In each round a few thought vectors read the candidates, weighted by how much they are believed in so far,
and the history; then every candidate reads the thoughts and judges itself anew. A score is the mix plus
the mean of the judgements so far, so that later rounds refine and do not overturn. The rounds share
their weights, and each ends in a complete ranking. Without a round the ranking is the mix alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model_export.contract.config import DeliberationConfig
from training.layers import Attention, FeedForward, additive_mask


class Deliberator(nn.Module):
    """One round, to be repeated.

    Args:
        mean: (F,) mean of each feature over training candidates.
        std: (F,) standard deviation of each.
        text_dims: D, width of the items' text vectors.
        shape: widths and heads.
    """

    recent = 20
    """Newest history items that the thoughts read."""

    def __init__(
        self,
        mean: Tensor,
        std: Tensor,
        text_dims: int,
        shape: DeliberationConfig,
    ) -> None:
        super().__init__()
        d, heads = shape.d_model, shape.heads
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.evidence = nn.Sequential(
            nn.Linear(2 * len(mean), 2 * d), nn.GELU(), nn.Linear(2 * d, d)
        )
        self.text = nn.Linear(text_dims, d, bias=False)
        self.age = nn.Embedding(self.recent, d)
        self.thoughts = nn.Parameter(torch.randn(shape.thoughts, d) * 0.5)
        self.belief = nn.Linear(2, d)
        self.read = Attention(d, heads)
        self.tell = Attention(d, heads)
        self.revise_thought = FeedForward(d, 2 * d)
        self.revise_note = FeedForward(d, 2 * d)
        self.norm_candidate = nn.LayerNorm(d)
        self.norm_history = nn.LayerNorm(d)
        self.norm_thought = nn.LayerNorm(d)
        self.norm_thought_feedforward = nn.LayerNorm(d)
        self.norm_told = nn.LayerNorm(d)
        self.norm_note = nn.LayerNorm(d)
        self.norm_score = nn.LayerNorm(d)
        self.score = nn.Linear(d, 1)
        self.trust = nn.Parameter(torch.tensor(1.0))
        self.dropout = nn.Dropout(shape.dropout)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def start(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Notes (B, C, d) and thoughts (B, Z, d) before the first round over candidates (B, C, D)."""
        batch, count = candidates.shape[:2]
        d = self.thoughts.shape[1]
        notes = candidates.new_zeros(batch, count, d)
        return notes, candidates.new_zeros(batch, len(self.thoughts), d)

    def forward(
        self,
        features: Tensor,
        candidates: Tensor,
        history_texts: Tensor,
        mask: Tensor,
        base: Tensor,
        rounds: int,
    ) -> list[Tensor]:
        """Scores (B, C) after each of some rounds; shapes as in contract/graph_io.py."""
        considered = self.consider(features, candidates, history_texts, mask)
        judged = torch.zeros_like(base)
        notes, thoughts = self.start(candidates)
        outcome = []
        for number in range(1, rounds + 1):
            scores, judged, notes, thoughts = self.weigh(
                *considered, mask, base, judged, notes, thoughts, torch.tensor([float(number)])
            )
            outcome.append(scores)
        return outcome

    def consider(
        self, features: Tensor, candidates: Tensor, history_texts: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What no round changes; shapes as in contract/graph_io.py (consider)."""
        standard = (features - self.mean) / self.std
        among = features / (features.abs().amax(1, keepdim=True) + 1e-3)
        known = self.evidence(torch.cat([standard, among], -1)) + self.text(candidates)
        texts = history_texts[:, -self.recent :]
        age = torch.arange(texts.shape[1], device=mask.device).flip(0)
        history = self.norm_history(self.text(texts) + self.age(age))
        return known, *self.read.keys_values(history)

    def weigh(
        self,
        known: Tensor,
        history_keys: Tensor,
        history_values: Tensor,
        mask: Tensor,
        base: Tensor,
        judged: Tensor,
        notes: Tensor,
        thoughts: Tensor,
        number: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One round over what `consider` said.

        Args:
            judged: (B, C) mean judgement of the rounds before; zeros at first.
            number: (1,) which round this is, from 1.

        Returns:
            Scores (B, C), mean judgement (B, C), notes (B, C, d) and thoughts (B, Z, d).
        """
        known = self.dropout(known)
        trusted = self.trust * base
        belief = (trusted + judged).softmax(-1)
        believed = torch.stack([belief.clamp(min=1e-6).log() * 0.2, belief], -1)
        seen = self.norm_candidate(known + notes + self.belief(believed))

        keys, values = self.read.keys_values(seen)
        memory = torch.cat([keys, history_keys], 1), torch.cat([values, history_values], 1)
        readable = torch.cat([torch.ones_like(base, dtype=torch.bool), mask[:, -self.recent :]], 1)
        bias = additive_mask(readable)[:, None, None, :]
        thought = self.thoughts + thoughts
        read, _ = self.read(self.norm_thought(thought), *memory, bias)
        thought = thought + self.dropout(read)
        revised = self.revise_thought(self.norm_thought_feedforward(thought))
        thought = thought + self.dropout(revised)

        told, _ = self.tell(
            seen, *self.tell.keys_values(self.norm_told(thought)), base.new_zeros(1)
        )
        note = known + notes + self.dropout(told)
        note = note + self.dropout(self.revise_note(self.norm_note(note)))
        judgement = self.score(self.norm_score(note))[..., 0]
        judged = judged + (judgement - judged) / number
        return trusted + judged, judged, note - known, thought - self.thoughts
