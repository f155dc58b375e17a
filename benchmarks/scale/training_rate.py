"""Training examples in a second of CPU time, stages 1 and 2, with the default settings on one thread.

python -m benchmarks.scale.training_rate --items 12000 --device auto
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress

from benchmarks.scale.data import TOPIC
from model_export.contract.config import ModelConfig
from model_export.contract.prefix_index import PrefixIndex
from model_export.contract.semantic_ids import CodeVocabulary
from training import distributed
from training.args import RunConfig
from training.data.batches import Windows
from training.decoding import TrieTensors
from training.items.quantizer import codes_per_level
from training.model import StreamRec
from training.soft_targets import SoftTargets
from training.stages.stage1_pretrain import pretrain
from training.stages.stage2_finetune import finetune

LENGTH = 12
"""Items of a history."""


def main() -> None:
    """Print one line for each stage."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale.training_rate", description=__doc__)
    parser.add_argument("--items", type=int, default=12_000)
    parser.add_argument("--users", type=int, default=1_500)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with distributed.processes(arguments.device), tempfile.TemporaryDirectory() as folder:
        _measure(arguments.items, arguments.users, Path(folder))


def _measure(n_items: int, users: int, folder: Path) -> None:
    rng = np.random.default_rng(0)
    config = RunConfig()
    levels = config.items.levels
    size = codes_per_level(n_items, levels=levels, largest=config.items.codes)
    drawn = rng.choice(size**levels, n_items, replace=False)
    codes = np.stack(np.unravel_index(drawn, (size,) * levels), 1)
    texts = 0.25 * rng.normal(size=(n_items, config.items.text_dims)).astype(np.float32)
    index, tensor = PrefixIndex.build(codes), distributed.tensor
    vocabulary, met = CodeVocabulary((size,) * levels), tensor(np.ones(n_items))
    model = StreamRec(ModelConfig(), vocabulary, tensor(texts), tensor(codes), met)
    model = model.to(torch.get_default_device())
    topics = rng.integers(-(-n_items // TOPIC), size=users).repeat(LENGTH)
    items = np.minimum(topics * TOPIC + rng.integers(TOPIC, size=len(topics)), n_items - 1)
    windows = Windows.cut(np.arange(users + 1) * LENGTH, items, model.config.max_history)
    similar = rng.integers(n_items, size=(n_items, config.stage1.similar))
    labels = rng.integers(size * levels, size=(len(items), model.config.max_steps))
    every = np.arange(len(items))
    candidates = rng.integers(n_items, size=(len(items), config.deliberation.candidates))
    soft = SoftTargets.expected(every, candidates, rng.random(candidates.shape))
    one = {"epochs": 1}
    stage1 = config.stage1.model_copy(update={"optim": config.stage1.optim.model_copy(update=one)})
    stage2 = config.stage2.model_copy(update={"optim": config.stage2.optim.model_copy(update=one)})
    trie = TrieTensors.of(index, torch.get_default_device())
    silent = Progress(disable=True)
    _time(
        "stage1",
        partial(pretrain, model, windows, similar, None, stage1, folder / "1", 0, silent),
    )
    _time(
        "stage2",
        partial(
            finetune, model, windows, labels, trie, index.leaf_items, lambda: {"objective": 0.0},
            stage2, folder / "2", 0, silent, partial(soft.at, share=stage2.distillation),
        ),
    )  # fmt: skip


def _time(stage: str, train: Any) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    train()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"stage": stage, "seconds": round(wall, 1), "cpu seconds": round(cpu, 1)}))


if __name__ == "__main__":
    main()
