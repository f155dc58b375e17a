"""A small real bundle: an untrained network and made-up evidence, the same at every call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from model_export.contract.bundle import Manifest, read_manifest, seal_bundle, write_table
from model_export.contract.catalog import Catalog, Item
from model_export.contract.config import DeliberationConfig, InferenceConfig, ModelConfig
from model_export.contract.evidence import NeighbourTable
from model_export.contract.files import write_json
from model_export.contract.item_encoder import scaled_texts
from model_export.contract.item_tokenizer import ItemTokenizer
from model_export.contract.item_vectors import VectorJoin
from model_export.contract.prefix_index import PrefixIndex
from model_export.contract.quantize import ResidualQuantizer
from model_export.contract.scoring import DEFAULT_WEIGHTS, FEATURES, TABLES
from model_export.contract.text_vectors import SparseRows, TextEncoder
from model_export.export import table_arrays, write_graphs
from model_export.indexing import build_index
from training.deliberation import Deliberator
from training.items.catalog_items import CatalogItems
from training.items.cells import comparisons
from training.items.evidence import Evidence
from training.items.neighbours import text_neighbours
from training.items.text import fit_text_encoder, tfidf_matrix
from training.model import StreamRec
from training.run import item_encoder, loop_tables

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
    catalog = Catalog(
        Item(item_id=f"i{row}", title=f"Item {row}", categories=["even" if row % 2 == 0 else "odd"])
        for row in range(ITEMS)
    )
    encoder = fit_text_encoder([item.text for item in catalog], dims=TEXT_DIMS, seed=0)
    items = _items(random, encoder.tfidf([item.text for item in catalog]), encoder)
    index = PrefixIndex.build(items.codes)
    texts, codes = torch.from_numpy(items.texts), torch.from_numpy(items.codes)
    model = StreamRec(model_config, items.vocabulary, texts, codes, torch.ones(ITEMS)).eval()
    deliberator = Deliberator(
        torch.zeros(len(FEATURES)), torch.ones(len(FEATURES)), TEXT_DIMS, deliberation
    ).eval()
    torch.nn.init.normal_(deliberator.score.weight)
    tables = loop_tables(model, items, index)

    write_graphs(model, deliberator, tables, 8, path)
    arrays = {
        **table_arrays(tables, items),
        **items.evidence.arrays(),
        **item_encoder(model).tables(),
    }
    for name, array in arrays.items():
        write_table(path, name, array)
    catalog.write(path / "catalog.jsonl")
    join = VectorJoin(1.0, 0.0, np.zeros((TEXT_DIMS, 1), np.float32))
    codebooks = random.normal(size=(len(CODES), min(CODES), TEXT_DIMS + 1)).astype(np.float32)
    ItemTokenizer(encoder, join, ResidualQuantizer(codebooks)).save(path / "tokenizer")
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


def add_index(path: Path, reach: int) -> None:
    """Give a bundle an index, through which a request reads so many items at least."""
    manifest = read_manifest(path)
    index = build_index(np.load(path / "tables" / "item_vectors.npy"), reach, seed=0)
    for name, array in index.arrays().items():
        write_table(path, name, array)
    inference = manifest.inference.model_copy(update={"read_items": reach})
    seal_bundle(path, manifest.model_copy(update={"inference": inference, "index": index.record}))


def _items(random: np.random.Generator, tfidf: SparseRows, encoder: TextEncoder) -> CatalogItems:
    ids = random.choice(np.prod(CODES), ITEMS, replace=False)

    def neighbours() -> NeighbourTable:
        rows = random.integers(0, ITEMS, (ITEMS, 5))
        return NeighbourTable(rows, random.random((ITEMS, 5), dtype=np.float32) / 10)

    evidence = Evidence(
        popularity=random.integers(1, 50, ITEMS),
        recent=random.integers(0, 20, ITEMS),
        tables={
            **{name: neighbours() for name in TABLES},
            "text": text_neighbours(
                tfidf_matrix(tfidf, len(encoder.vocabulary)),
                comparisons(encoder.project(tfidf), seed=0),
                width=5,
            ),
        },
    )
    return CatalogItems(
        texts=scaled_texts(encoder.project(tfidf)),
        codes=np.stack(np.unravel_index(ids, CODES), axis=1),
        similar=random.integers(0, ITEMS, (ITEMS, 3)),
        code_sizes=np.array(CODES),
        evidence=evidence,
    )
