"""A small real bundle: an untrained network and made-up evidence, the same at every call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from model_export.contract.bundle import Manifest, seal_bundle, write_table
from model_export.contract.catalog import Catalog, Item
from model_export.contract.config import DeliberationConfig, InferenceConfig, ModelConfig
from model_export.contract.evidence import NeighbourTable
from model_export.contract.files import write_json
from model_export.contract.prefix_index import PrefixIndex
from model_export.contract.scoring import DEFAULT_WEIGHTS, FEATURES, TABLES
from model_export.export import table_arrays, write_graphs
from training.deliberation import Deliberator
from training.items.catalog_items import CatalogItems
from training.items.evidence import store_names
from training.model import StreamRec
from training.run import loop_tables

ITEMS = 40
CODES = (4, 4, 5)
TEXT_DIMS = 8


def write_tiny_bundle(path: Path) -> None:
    """Write the bundle to `path`, a new directory."""
    path.mkdir()
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    model_config = ModelConfig(d_model=16, feedforward=32, max_history=10)
    deliberation = DeliberationConfig(candidates=12, d_model=16, heads=2, thoughts=2)
    items = _items(random)
    index = PrefixIndex.build(items.codes)
    model = StreamRec(
        model_config, items.vocabulary, torch.from_numpy(items.texts), torch.from_numpy(items.codes)
    ).eval()
    deliberator = Deliberator(
        torch.zeros(len(FEATURES)), torch.ones(len(FEATURES)), TEXT_DIMS, deliberation
    ).eval()
    torch.nn.init.normal_(deliberator.score.weight)
    tables = loop_tables(model, items, index)

    write_graphs(model, deliberator, tables, 8, path)
    for name, array in {**table_arrays(tables, items), **store_names(items.tables)}.items():
        write_table(path, name, array)
    Catalog(
        Item(item_id=f"i{row}", title=f"Item {row}", categories=["even" if row % 2 == 0 else "odd"])
        for row in range(ITEMS)
    ).write(path / "catalog.jsonl")
    write_json(
        path / "code_labels.json",
        [[f"label {level}.{code}" for code in range(size)] for level, size in enumerate(CODES)],
    )
    manifest = Manifest(
        model_version="tiny-1",
        verified=True,
        code_sizes=CODES,
        model=model_config,
        deliberation=deliberation,
        inference=InferenceConfig(),
        scoring={**DEFAULT_WEIGHTS, "beam": 0.5},
    )
    seal_bundle(path, manifest)


def _items(random: np.random.Generator) -> CatalogItems:
    ids = random.choice(np.prod(CODES), ITEMS, replace=False)

    def neighbours() -> NeighbourTable:
        rows = random.integers(0, ITEMS, (ITEMS, 5))
        return NeighbourTable(rows, random.random((ITEMS, 5), dtype=np.float32) / 10)

    return CatalogItems(
        texts=random.normal(size=(ITEMS, TEXT_DIMS)).astype(np.float32),
        codes=np.stack(np.unravel_index(ids, CODES), axis=1),
        similar=random.integers(0, ITEMS, (ITEMS, 3)),
        popularity=random.integers(1, 50, ITEMS),
        recent=random.integers(0, 20, ITEMS),
        code_sizes=np.array(CODES),
        tables={name: neighbours() for name in TABLES},
    )
