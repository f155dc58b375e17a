"""SASRec with a full softmax: a causal Transformer over item ids.

Made of the product's own layers, batches and epoch loop, so that it differs from the product in the model
only. Kang & McAuley, Self-Attentive Sequential Recommendation (2018); the softmax over the whole
catalogue instead of one negative is what makes it strong (Klenitskiy & Vasilev, 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.accuracy.judge import judge
from model_export.contract.catalog import Catalog
from model_export.contract.history import PADDING, Rows, encode_history
from model_export.contract.scoring import Array
from training.args import OptimConfig
from training.data.batches import Batch, Windows
from training.data.sequences import Holdout, Sequences
from training.layers import EncoderLayer, additive_mask
from training.loop import Losses, seeded, train_epochs
from training.pipeline import sample

OPTIM = OptimConfig(epochs=40, patience=5, batch_size=512, learning_rate=1e-3, weight_decay=1e-4)


class Network(nn.Module):
    """Item and position embeddings, causal layers; items are scored by the dot product."""

    def __init__(self, n_items: int, max_history: int, d_model: int, dropout: float) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items, d_model)
        self.age = nn.Embedding(max_history, d_model)
        self.layers = nn.ModuleList(
            EncoderLayer(d_model, 2, 2 * d_model, dropout) for _ in range(2)
        )
        self.norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.items.weight, std=0.02)
        nn.init.normal_(self.age.weight, std=0.02)

    def forward(self, rows: Tensor) -> Tensor:
        """Right-aligned rows (B, H) to what each position expects next (B, H, d)."""
        length = rows.shape[1]
        position = torch.arange(length, device=rows.device)
        allowed = (position[:, None] >= position) & (rows != PADDING)[:, None, :]
        bias = additive_mask(allowed)[:, None]
        scaled = self.items(rows.clamp(min=0)) * self.items.embedding_dim**0.5
        x: Tensor = self.dropout(scaled + self.age(position.flip(0)))
        for layer in self.layers:
            x = layer(x, bias)
        normed: Tensor = self.norm(x)
        return normed


@dataclass
class SasRec:
    """Trained until NDCG@10 of the validation questions stops improving."""

    validation: Holdout = field(repr=False)
    seed: int
    d_model: int = 64
    dropout: float = 0.2
    max_history: int = 50
    optim: OptimConfig = field(default=OPTIM, repr=False)

    def fit(self, training: Sequences, catalog: Catalog) -> None:
        """Train; every position of every history is an example."""
        seeded(self.seed, "SASRec")
        popularity = np.bincount(training.items, minlength=len(catalog))
        asked = sample(self.validation, self.seed)
        self._network = Network(len(catalog), self.max_history, self.d_model, self.dropout)
        windows = Windows.cut(training.offsets, training.items, self.max_history)

        def losses(batch: Batch, _: np.random.Generator) -> Losses:
            expected = self._network(batch.rows)[batch.owner, batch.newest]
            logits = expected @ self._network.items.weight.T
            return {"softmax": F.cross_entropy(logits, batch.target)}

        def validate() -> dict[str, float]:
            self._network.eval()
            return {"objective": judge(self.score, asked, popularity).figures()["ndcg@10"]}

        with TemporaryDirectory() as folder:
            train_epochs(
                "SASRec", self._network, windows, losses, validate, self.optim, Path(folder),
                self.seed, Progress(disable=True),
            )  # fmt: skip
        self._network.eval()

    @torch.no_grad()
    def score(self, histories: Sequence[Rows]) -> Array:
        """(B, N)."""
        rows = torch.from_numpy(encode_history(histories, self.max_history))
        scores: Array = (self._network(rows)[:, -1] @ self._network.items.weight.T).numpy()
        return scores
