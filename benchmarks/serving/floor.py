"""What the arithmetic alone would cost: multiply-adds of a request, and how many this core does a second."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.serving.service import SERVICE_CORE, pin
from model_export.contract.bundle import Manifest
from model_export.contract.scoring import FEATURES

_SIZE = 512
_SECONDS = 1.0


def yardstick() -> float:
    """GFLOP/s of float32 matrix products on the service's core, while nothing of ours runs on it."""
    command = [sys.executable, "-m", "benchmarks.serving.floor"]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _gflops() -> float:
    pin(SERVICE_CORE)
    with threadpool_limits(1):
        a = np.ones((_SIZE, _SIZE), np.float32)
        rates = []
        end = time.perf_counter() + _SECONDS
        while (begun := time.perf_counter()) < end:
            a @ a
            rates.append(2 * _SIZE**3 / (time.perf_counter() - begun) / 1e9)
    return float(np.median(rates))


def multiply_adds(manifest: Manifest, n_items: int, history: int, steps: int, texts: int) -> int:
    """Multiply-adds of the matrix products of one request without beam search."""
    m, d = manifest.model, manifest.model.d_model
    h = min(history, m.max_history)
    block = 4 * d * d + 2 * d * m.feedforward
    encoder = m.encoder_layers * h * (block + 2 * h * d)
    cross = m.decoder_layers * h * 2 * d * d
    heads = 2 * d * m.feedforward + d * sum(manifest.code_sizes)
    thought = m.decoder_layers * (block + 2 * d * d + 2 * h * d) + heads
    index, reach = manifest.index, manifest.inference.read_items
    ranking = (index.cells + min(reach, n_items) if index else n_items) * d
    shape = manifest.deliberation
    c, z, w = min(shape.candidates, n_items), shape.thoughts, shape.d_model
    reading = c * (2 * len(FEATURES) * 2 * w + 2 * w * w + texts * w) + h * texts * w
    judging = (c + h) * 2 * w * w + z * 6 * w * w + 2 * z * (c + h) * w
    judging += c * (2 * w * w + 2 * z * w + 4 * w * w + w) + 2 * z * w * w
    return (
        encoder
        + cross
        + ranking
        + (steps + 1) * thought
        + (reading if steps else 0)
        + steps * judging
    )


if __name__ == "__main__":
    print(_gflops())
