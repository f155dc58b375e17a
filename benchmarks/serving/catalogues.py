"""Bundles of any size with an untrained network of a given shape: as fast as a trained one, no better."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from model_export.contract.bundle import Manifest, seal_bundle, write_table
from model_export.contract.catalog import Catalog, Item
from model_export.contract.evidence import NeighbourTable
from model_export.contract.files import write_json
from model_export.contract.prefix_index import PrefixIndex
from model_export.contract.scoring import FEATURES, TABLES
from model_export.export import table_arrays, write_graphs
from model_export.indexing import indexed
from training.args import RunConfig
from training.deliberation import Deliberator
from training.items.catalog_items import CatalogItems
from training.items.evidence import Evidence
from training.model import StreamRec
from training.run import loop_tables


def write_untrained(path: Path, config: RunConfig, n_items: int, *, beam: float = 0.0) -> None:
    """Write a bundle of made-up items; the same one for the same arguments.

    Args:
        path: a new directory.
        config: shapes of network, deliberation and semantic IDs, and the width of the beam.
        n_items: size of the catalogue.
        beam: weight of the beam search, without which none is made.
    """
    path.mkdir(parents=True)
    items, model, deliberator = untrained(config, n_items)
    index = PrefixIndex.build(items.codes)
    tables = indexed(loop_tables(model, items, index), config.inference, seed=0)
    write_graphs(model, deliberator, tables, config.inference.beams, path)
    for name, array in table_arrays(tables, items).items():
        write_table(path, name, array)
    _write_evidence(path, items.evidence)
    Catalog(Item(item_id=f"i{row}", title=f"Item {row}") for row in range(n_items)).write(
        path / "catalog.jsonl"
    )
    sizes = items.vocabulary.sizes
    write_json(path / "code_labels.json", [[f"{c}" for c in range(size)] for size in sizes])
    weights = {
        "state": 1.0,
        "wide@0.8": 2.0,
        "text@0.8": 1.0,
        "together@0.8": 0.5,
        "repeat@1.0": -1.5,
    }
    manifest = Manifest(
        model_version=f"untrained-{n_items}",
        verified=True,
        code_sizes=sizes,
        model=config.model,
        deliberation=config.deliberation,
        inference=config.inference,
        index=tables.index.record if tables.index else None,
        scoring=weights | {"memory_memory@0.8": 0.5, "popularity": 0.1, "beam": beam},
    )
    seal_bundle(path, manifest)


def untrained(config: RunConfig, n_items: int) -> tuple[CatalogItems, StreamRec, Deliberator]:
    """Made-up items and an untrained network for them; the same for the same arguments."""
    torch.manual_seed(0)
    items = _items(np.random.default_rng(0), config, n_items)
    texts, codes = torch.from_numpy(items.texts), torch.from_numpy(items.codes)
    model = StreamRec(config.model, items.vocabulary, texts, codes, torch.ones(n_items))
    unscaled = torch.zeros(len(FEATURES)), torch.ones(len(FEATURES))
    deliberator = Deliberator(*unscaled, items.texts.shape[1], config.deliberation)
    torch.nn.init.normal_(deliberator.score.weight, std=0.1)
    return items, model.eval(), deliberator.eval()


def _items(random: np.random.Generator, config: RunConfig, n_items: int) -> CatalogItems:
    sizes = np.full(config.items.levels, config.items.codes)
    ids = np.unique(random.integers(0, int(np.prod(sizes)), 2 * n_items))
    codes = np.stack(np.unravel_index(random.permutation(ids)[:n_items], sizes), 1)
    texts = random.normal(size=(n_items, config.items.text_dims)).astype(np.float32)
    width = min(config.evidence.neighbours, n_items)
    start = random.integers(0, n_items, (n_items, 1))
    stride = random.integers(1, max(2, n_items // width), (n_items, 1))
    neighbours = ((start + stride * np.arange(width)) % n_items).astype(np.int32)
    weights = random.random((n_items, width), dtype=np.float32) / 10
    return CatalogItems(
        texts=texts,
        codes=codes,
        similar=neighbours[:, :1].astype(np.int64),
        code_sizes=sizes,
        evidence=Evidence(
            popularity=random.integers(1, 50, n_items),
            recent=random.integers(0, 20, n_items),
            tables={name: NeighbourTable(neighbours, weights) for name in TABLES},
        ),
    )


def _write_evidence(path: Path, evidence: Evidence) -> None:
    """All tables are one and the same: names of one file, so that a million items fit on a disk."""
    write_table(path, "popularity", evidence.popularity)
    write_table(path, "recent", evidence.recent)
    first, *others = evidence.tables
    write_table(path, f"{first}_items", evidence.tables[first].items)
    write_table(path, f"{first}_weights", evidence.tables[first].weights)
    for name in others:
        for part in ("items", "weights"):
            os.link(path / "tables" / f"{first}_{part}.npy", path / "tables" / f"{name}_{part}.npy")
