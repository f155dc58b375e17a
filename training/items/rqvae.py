"""RQ-VAE: an autoencoder whose latent vector is residual-quantized.

Source: SoundStream (Zeghidour et al., 2021) and TIGER (Rajput et al., 2023). Against dead codes,
codebooks start from residual k-means of the latents, and codes that no item uses after an epoch
restart at the residuals of random items.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from model_export.contract.quantize import ResidualQuantizer
from training.items.kmeans import fit_codebooks

HIDDEN = 256
LATENT = 64
COMMITMENT = 0.25
EPOCHS = 60
BATCH = 1024
LEARNING_RATE = 1e-3


class RQVAE(nn.Module):
    """Encoder, codebooks and decoder."""

    def __init__(self, dims: int, levels: int, codes: int) -> None:
        super().__init__()
        self.encoder = _mlp(dims, HIDDEN, LATENT)
        self.decoder = _mlp(LATENT, HIDDEN, dims)
        self.codebooks = nn.Parameter(torch.zeros(levels, codes, LATENT))

    def quantize(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize latents (B, LATENT) level by level.

        Returns:
            The sum of the chosen entries (B, LATENT), the codes (B, levels), and the quantization
            loss ‖sg[r] − e‖² + COMMITMENT · ‖r − sg[e]‖², summed over levels, averaged over B.
        """
        residual, quantized = latent, torch.zeros_like(latent)
        chosen, loss = [], latent.new_zeros(())
        for codebook in self.codebooks:
            code = torch.cdist(residual.detach(), codebook.detach()).argmin(dim=1)
            entry = codebook[code]
            loss = loss + (residual.detach() - entry).square().sum(dim=1).mean()
            loss = loss + COMMITMENT * (residual - entry.detach()).square().sum(dim=1).mean()
            residual, quantized = residual - entry.detach(), quantized + entry
            chosen.append(code)
        return quantized, torch.stack(chosen, dim=1), loss

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction plus quantization loss (scalar), and codes (B, levels)."""
        latent = self.encoder(vectors)
        quantized, codes, quantization = self.quantize(latent)
        straight_through = latent + (quantized - latent).detach()
        reconstruction = F.mse_loss(self.decoder(straight_through), vectors, reduction="none")
        return reconstruction.sum(dim=1).mean() + quantization, codes

    @torch.no_grad()
    def start_codebooks(self, vectors: Tensor, seed: int) -> None:
        """Set the codebooks to residual k-means of the latents."""
        levels, codes, _ = self.codebooks.shape
        latents = self.encoder(vectors).numpy()
        fitted = fit_codebooks(latents, levels=levels, codes=codes, seed=seed)
        self.codebooks.copy_(torch.from_numpy(fitted))

    @torch.no_grad()
    def restart_dead_codes(self, vectors: Tensor, generator: torch.Generator) -> None:
        """Move every code that none of `vectors` uses to the residual of a random one."""
        residual = self.encoder(vectors)
        for codebook in self.codebooks:
            code = torch.cdist(residual, codebook).argmin(dim=1)
            dead = torch.bincount(code, minlength=len(codebook)) == 0
            donors = torch.randint(len(vectors), (int(dead.sum()),), generator=generator)
            residual_before, residual = residual, residual - codebook[code]
            codebook[dead] = residual_before[donors]

    def export(self) -> ResidualQuantizer:
        """The encoder and codebooks as plain arrays."""
        layers = [layer for layer in self.encoder if isinstance(layer, nn.Linear)]
        return ResidualQuantizer(
            self.codebooks.detach().numpy().copy(),
            tuple(
                (layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy())
                for layer in layers
            ),
        )


def fit_rqvae(
    vectors: NDArray[np.float32], *, levels: int, codes: int, seed: int
) -> ResidualQuantizer:
    """The encoder and codebooks of an RQ-VAE trained on item vectors (items, dims)."""
    return train_rqvae(vectors, levels=levels, codes=codes, seed=seed, epochs=EPOCHS).export()


def train_rqvae(
    vectors: NDArray[np.float32], *, levels: int, codes: int, seed: int, epochs: int
) -> RQVAE:
    """Train on item vectors (items, dims); the last epoch restarts no codes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = RQVAE(vectors.shape[1], levels, codes)
    data = torch.from_numpy(vectors)
    model.start_codebooks(data, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    for epoch in range(epochs):
        order = torch.randperm(len(data), generator=generator)
        for start in range(0, len(data), BATCH):
            loss, _ = model(data[order[start : start + BATCH]])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch < epochs - 1:
            model.restart_dead_codes(data, generator)
    return model


def _mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
