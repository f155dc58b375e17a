"""Stage 1 on the tiny network, for torchrun: `-m tests.training.curve FOLDER` prints its epochs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from tests.training import tiny
from training import distributed
from training.args import OptimConfig, Stage1Config
from training.stages.stage1_pretrain import pretrain

SETTINGS = Stage1Config(
    optim=OptimConfig(epochs=4, patience=9, batch_size=20, learning_rate=1e-2), prefix_share=0
)
"""Nothing is left to chance but the order of the batches."""


def train(folder: Path, progress: Progress) -> list[dict[str, Any]]:
    """What each epoch left behind; deterministic but for the order in which numbers are added."""
    similar = (np.arange(tiny.N_ITEMS)[:, None] + [1, 2, 3]) % tiny.N_ITEMS
    return pretrain(
        tiny.new_network(), tiny.windows(users=23), similar, None, SETTINGS, folder, 7, progress
    )


if __name__ == "__main__":
    with distributed.processes("cpu"):
        epochs = train(Path(sys.argv[1]), tiny.silent())
        if distributed.is_first():
            print(json.dumps(epochs))
