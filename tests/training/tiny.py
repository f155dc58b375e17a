"""A network small enough for tests: real code, 20 items, 16 dimensions.

Weights are shaken after their initialisation, because much of the network starts at zero and would
hide what it does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import nn

from model_export.contract.catalog import Catalog, Item
from model_export.contract.config import DeliberationConfig, EvidenceConfig, ModelConfig
from model_export.contract.history import encode_history
from model_export.contract.prefix_index import PrefixIndex
from model_export.contract.semantic_ids import CodeVocabulary
from training.args import DeliberateConfig, OptimConfig, RunConfig
from training.data.batches import Batch, Windows, collate
from training.data.sequences import Sequences
from training.decoding import TrieTensors
from training.model import Context, StreamRec

N_ITEMS = 20
VOCABULARY = CodeVocabulary((3, 4, 5))
STEPS = 3
MAX_HISTORY = 6


def codes() -> NDArray[np.int64]:
    """Distinct semantic IDs (20, 3) that leave some prefixes empty."""
    everything = np.stack(np.meshgrid(*(np.arange(s) for s in VOCABULARY.sizes)), -1).reshape(-1, 3)
    return np.random.default_rng(5).permutation(everything)[:N_ITEMS]


def index() -> PrefixIndex:
    return PrefixIndex.build(codes())


def trie() -> TrieTensors:
    return TrieTensors.of(index())


def config(**changes: float) -> ModelConfig:
    shape = {
        "d_model": 16, "heads": 2, "encoder_layers": 2, "decoder_layers": 2, "feedforward": 24,
        "max_history": MAX_HISTORY, "max_steps": STEPS, "dropout": 0.0,
    }  # fmt: skip
    return ModelConfig.model_validate(shape | changes)


def cross_fit_config(**changes: Any) -> RunConfig:
    """Three folds, two short epochs each."""
    return RunConfig(
        model=config(),
        deliberation=DeliberationConfig(candidates=8, d_model=16, heads=2, thoughts=2),
        evidence=EvidenceConfig(neighbours=5),
        deliberate=DeliberateConfig(
            folds=3, epochs=3, rounds=2, batch_size=16,
            network=OptimConfig(epochs=2, batch_size=64), **changes,
        ),
    )  # fmt: skip


def new_network(learnt: NDArray[np.int64] | None = None, **changes: float) -> StreamRec:
    """A network as training starts with it; all items are among the learnt ones if not given."""
    torch.manual_seed(3)
    text, met = torch.randn(N_ITEMS, 6), torch.ones(N_ITEMS, dtype=torch.bool)
    if learnt is not None:
        met = torch.from_numpy(np.bincount(learnt, minlength=N_ITEMS) > 0)
    return StreamRec(config(**changes), VOCABULARY, text, torch.from_numpy(codes()), met)


def network(**changes: float) -> StreamRec:
    """A network in which every parameter has an effect."""
    model = new_network(**changes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model.eval()


def histories(*lengths: int) -> list[NDArray[np.int64]]:
    rng = np.random.default_rng(11)
    return [rng.integers(N_ITEMS, size=length) for length in lengths]


def context(model: StreamRec, *lengths: int) -> Context:
    """Random histories of these lengths, read by the network."""
    return model.read(torch.from_numpy(encode_history(histories(*lengths), MAX_HISTORY)))


def walks(users: int = 24, length: int = 7) -> Sequences:
    """Users who walk the catalogue in order from different starts: what comes next can be learnt."""
    steps = np.arange(length)
    items = np.concatenate([(user * 3 + steps) % N_ITEMS for user in range(users)])
    names = [f"user {user}" for user in range(users)]
    return Sequences(names, np.arange(users + 1) * length, items)


def windows(users: int = 24, length: int = 7) -> Windows:
    data = walks(users, length)
    return Windows.cut(data.offsets, data.items, MAX_HISTORY)


def batch(users: int = 5, length: int = 7) -> Batch:
    """Every example of a few walks."""
    cut = windows(users, length)
    return collate(cut, np.arange(len(cut)), len(cut.items), np.random.default_rng(0))


def catalog() -> Catalog:
    return Catalog(Item(item_id=f"i{row}", title=f"Größe {row}") for row in range(N_ITEMS))


def silent() -> Progress:
    return Progress(disable=True)


class Interrupted(Progress):
    """Somebody presses Ctrl-C while the bar moves for the n-th time."""

    def __init__(self, movement: int) -> None:
        super().__init__(disable=True)
        self.left = movement

    def update(self, *args: Any, **values: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        super().update(*args, **values)


def parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of every parameter."""
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def equal(a: nn.Module, b: nn.Module) -> bool:
    """Whether two networks hold the same numbers, bit for bit."""
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def moved(before: dict[str, torch.Tensor], model: nn.Module) -> set[str]:
    """Names of the parameters that differ from the copy."""
    return {n for n, value in model.named_parameters() if not torch.equal(before[n], value)}
