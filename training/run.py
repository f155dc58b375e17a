"""What a run directory holds, loaded on demand: for later steps, for evaluation and for the export."""

from __future__ import annotations

import dataclasses
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model_export.contract.catalog import Catalog
from model_export.contract.item_encoder import ItemEncoder
from model_export.contract.prefix_index import PrefixIndex
from model_export.contract.reasoning import LoopTables, ReasoningLoop
from model_export.contract.scoring import DEFAULT_WEIGHTS, FEATURES, Scorer
from training.args import RunConfig
from training.checkpoint import load_weights
from training.data.batches import Windows
from training.data.sequences import Sequences
from training.decoding import TrieTensors
from training.deliberation import Deliberator
from training.distributed import tensor
from training.graphs import TorchRunner
from training.items.catalog_items import CatalogItems
from training.items.evidence import fit_evidence
from training.loop import seeded
from training.model import StreamRec
from training.run_folder import RunFolder
from training.soft_targets import Expected, SoftTargets
from training.steps import StepName

NETWORK_STEPS: tuple[StepName, ...] = ("stage1", "stage2_finetune", "stage3")
"""Steps that leave network weights, in order."""


class Run:
    """A run directory with its configuration and seed.

    Everything is read when first asked for, and raises RunError where its step is not finished.
    """

    def __init__(self, folder: RunFolder, config: RunConfig, seed: int) -> None:
        self.folder = folder
        self.config = config
        self.seed = seed

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open a run that `streamrec train` wrote.

        Raises:
            RunError: there is none, or its run.json is damaged.
        """
        folder = RunFolder(path)
        about = folder.about()
        return cls(folder, about.config, about.seed)

    @cached_property
    def catalog(self) -> Catalog:
        with self.folder.reading("prepare") as folder:
            return Catalog.read(folder / "catalog.jsonl")

    @cached_property
    def sequences(self) -> Sequences:
        with self.folder.reading("prepare") as folder:
            return Sequences.load(folder)

    @cached_property
    def training(self) -> Sequences:
        """The part of the histories that may be learnt from."""
        return self.sequences.training()

    @cached_property
    def windows(self) -> Windows:
        max_history = self.config.model.max_history
        return Windows.cut(self.training.offsets, self.training.items, max_history)

    @cached_property
    def items(self) -> CatalogItems:
        with self.folder.reading("items") as folder:
            return CatalogItems.load(folder)

    @cached_property
    def index(self) -> PrefixIndex:
        return PrefixIndex.build(self.items.codes)

    @cached_property
    def trie(self) -> TrieTensors:
        return TrieTensors.of(self.index, torch.get_default_device())

    def new_model(self, learnt: NDArray[np.int64] | None = None) -> StreamRec:
        """An untrained network, the same one for the same seed.

        Args:
            learnt: rows of all items in the histories that it will learn from; those of the training
                part if not given.
        """
        seeded(self.seed, "model")
        items, n_items = self.items, len(self.items.texts)
        met = np.bincount(self.training.items if learnt is None else learnt, minlength=n_items) > 0
        texts, codes = tensor(items.texts), tensor(items.codes)
        model = StreamRec(self.config.model, items.vocabulary, texts, codes, tensor(met))
        return model.to(texts.device)

    def model(self, step: StepName | None = None) -> StreamRec:
        """The network as a step left it; the last finished step if none is named."""
        finished = [name for name in NETWORK_STEPS if self.folder.finished(name)]
        step = step or (finished[-1] if finished else "stage1")
        self.folder.record(step)
        model = self.new_model()
        load_weights(self.folder.folder(step) / "best.safetensors", model)
        return model.eval()

    @cached_property
    def deliberator(self) -> Deliberator:
        unscaled = torch.zeros(len(FEATURES)), torch.ones(len(FEATURES))
        text_dims = self.items.texts.shape[1]
        deliberator = Deliberator(*unscaled, text_dims, self.config.deliberation)
        self.folder.record("stage2_deliberate")
        load_weights(self.folder.folder("stage2_deliberate") / "best.safetensors", deliberator)
        return deliberator.to(torch.get_default_device()).eval()

    @cached_property
    def expected(self) -> Expected | None:
        """What deliberation expects at training positions; None where nothing is distilled."""
        share = self.config.stage2.distillation
        if not share:
            return None
        with self.folder.reading("stage2_deliberate") as folder:
            files = expected_files(folder, self.config.deliberate.folds)
            return partial(SoftTargets.join([SoftTargets.load(f) for f in files]).at, share=share)

    @property
    def mix_weights(self) -> dict[str, float]:
        """Weights of the mix, fitted on cross-fitted lists, and of the beams; defaults before that."""
        if not self.folder.finished("stage2_deliberate"):
            return dict(DEFAULT_WEIGHTS)
        weights: dict[str, float] = self.folder.record("stage2_deliberate")["metrics"]["mix"]
        if self.folder.finished("stage3"):
            return weights | {"beam": self.folder.record("stage3")["metrics"]["beam"]}
        return weights

    def knowing(self, seen: Sequences) -> Run:
        """The same weights beside the evidence of other histories, such as all that came in since."""
        fresh = Run(self.folder, self.config, self.seed)
        text = self.items.evidence.tables["text"]
        evidence = fit_evidence(seen.offsets, seen.items, text, self.config.evidence)
        fresh.items = dataclasses.replace(self.items, evidence=evidence)
        return fresh

    @property
    def scorer(self) -> Scorer:
        return self.items.evidence.scorer(self.mix_weights)

    def loop(
        self, model: StreamRec, scorer: Scorer, deliberator: Deliberator | None
    ) -> ReasoningLoop:
        """The reasoning loop on torch; the service runs the same on ONNX Runtime."""
        return ReasoningLoop(
            TorchRunner(model, deliberator, self.config.inference.beams),
            loop_tables(model, self.items, self.index),
            scorer,
            max_history=self.config.model.max_history,
            max_steps=self.config.model.max_steps,
            deliberation=self.config.deliberation if deliberator else None,
        )


def expected_files(folder: Path, folds: int) -> list[Path]:
    """What deliberation expects at the positions of each fold."""
    return [folder / f"expected-{number}.npz" for number in range(folds)]


@torch.no_grad()
def loop_tables(model: StreamRec, items: CatalogItems, index: PrefixIndex) -> LoopTables:
    """The tables that the loop reads, as the network sees the items."""
    return LoopTables(
        item_vectors=model.item_targets().cpu().numpy(),
        item_inputs=model.item_inputs().cpu().numpy(),
        item_texts=items.texts,
        trie=index.tables(),
        leaf_items=index.leaf_items,
    )


@torch.no_grad()
def item_encoder(model: StreamRec) -> ItemEncoder:
    """What places an item in the network's eyes that came after training."""

    def norm(layer: nn.LayerNorm) -> np.ndarray:
        return torch.stack([layer.weight, layer.bias]).cpu().numpy()

    return ItemEncoder(
        projection=model.items.project.weight.T.cpu().numpy(),
        norm=norm(model.items.norm),
        input_norm=norm(model.norm_input),
        code_embeddings=model.tokens.weight[: model.vocabulary.n_codes].cpu().numpy(),
    )
