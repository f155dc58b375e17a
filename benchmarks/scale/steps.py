"""The steps that are measured, each reading from the folder what the ones before left there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_export.contract.catalog import Catalog
from training.args import RunConfig
from training.data.prepare import prepare
from training.data.sequences import Sequences
from training.items.assign import collision_free_codes, share_in_collision
from training.items.behaviour import behaviour_vectors
from training.items.catalog_items import most_similar
from training.items.cells import comparisons
from training.items.evidence import fit_evidence
from training.items.neighbours import text_neighbours
from training.items.quantizer import code_usage, codes_per_level, fit_quantizer
from training.items.text import fit_text_encoder, tfidf_matrix
from training.items.vectors import fit_join

CONFIG = RunConfig()
SEED = 0


def prepare_files(folder: Path) -> dict[str, Any]:
    """Files to a catalogue and ordered histories."""
    dataset = prepare(folder / "interactions.parquet", folder / "items.parquet")
    dataset.sequences.save(folder)
    dataset.catalog.write(folder / "catalog.jsonl")
    return {"interactions": dataset.report.interactions}


def text_vectors(folder: Path) -> dict[str, Any]:
    """Titles to TF-IDF rows and vectors."""
    texts = [item.text for item in Catalog.read(folder / "catalog.jsonl")]
    encoder = fit_text_encoder(texts, dims=CONFIG.items.text_dims, seed=SEED)
    sparse = encoder.tfidf(texts)
    _save(folder, "text", encoder.project(sparse))
    for part in ("offsets", "terms", "weights"):
        _save(folder, f"tfidf_{part}", getattr(sparse, part))
    return {"terms": len(encoder.vocabulary)}


def behaviour(folder: Path) -> dict[str, Any]:
    """Histories to vectors."""
    training = _training(folder)
    vectors = behaviour_vectors(
        training.offsets, training.items, _items(folder),
        window=CONFIG.evidence.window, dims=CONFIG.items.behaviour_dims, seed=SEED,
    )  # fmt: skip
    _save(folder, "behaviour", vectors)
    return {"known items": int(vectors.any(1).sum())}


def semantic_ids(folder: Path) -> dict[str, Any]:
    """Vectors to codes, nearest first and then collision-free."""
    text, behaviour = _load(folder, "text"), _load(folder, "behaviour")
    join = fit_join(text, behaviour, text_weight=1.0, behaviour_weight=1.0)
    vectors = join(text, behaviour)
    _save(folder, "vectors", vectors)
    codes = codes_per_level(len(vectors), levels=CONFIG.items.levels, largest=CONFIG.items.codes)
    quantizer = fit_quantizer(
        vectors, method="kmeans", levels=CONFIG.items.levels, codes=codes, seed=SEED
    )
    encoded = quantizer.encode(vectors)
    _save(folder, "encoded", encoded)
    _save(folder, "codebooks", quantizer.codebooks)
    used = [usage.used for usage in code_usage(quantizer.codes(encoded))]
    return {"codes": list(quantizer.codebooks.shape[:2]), "used": used}


def assignment(folder: Path) -> dict[str, Any]:
    """Codes until no two items share a semantic ID."""
    from model_export.contract.quantize import ResidualQuantizer

    quantizer = ResidualQuantizer(_load(folder, "codebooks"))
    encoded = _load(folder, "encoded")
    nearest = quantizer.codes(encoded)
    codes = collision_free_codes(encoded, quantizer)
    assert share_in_collision(codes) == 0
    return {
        "in collision before": round(share_in_collision(nearest), 4),
        "moved": round(float((codes != nearest).any(1).mean()), 4),
    }


def neighbours(folder: Path) -> dict[str, Any]:
    """The most similar items, by vector and by text."""
    most_similar(_load(folder, "vectors"), CONFIG.stage1.similar, SEED)
    text, offsets, terms, weights = (
        _load(folder, name) for name in ("text", "tfidf_offsets", "tfidf_terms", "tfidf_weights")
    )
    from model_export.contract.text_vectors import SparseRows

    tfidf = tfidf_matrix(SparseRows(offsets, terms, weights), int(terms.max()) + 1)
    table = text_neighbours(tfidf, comparisons(text, SEED), width=CONFIG.evidence.neighbours)
    _save(folder, "text_items", table.items)
    _save(folder, "text_weights", table.weights)
    return {"text neighbours": round(float((table.items >= 0).sum(1).mean()), 1)}


def evidence(folder: Path) -> dict[str, Any]:
    """What followed what, over one step and over two."""
    from model_export.contract.evidence import NeighbourTable

    training = _training(folder)
    text = NeighbourTable(_load(folder, "text_items"), _load(folder, "text_weights"))
    tables = fit_evidence(training.offsets, training.items, text, CONFIG.evidence).tables
    return {"tables": len(tables)}


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "prepare": prepare_files,
    "text vectors": text_vectors,
    "behaviour vectors": behaviour,
    "quantization": semantic_ids,
    "assignment": assignment,
    "neighbours": neighbours,
    "evidence": evidence,
}


def _training(folder: Path) -> Sequences:
    return Sequences.load(folder).training()


def _items(folder: Path) -> int:
    return len(_load(folder, "text"))


def _save(folder: Path, name: str, array: NDArray[Any]) -> None:
    np.save(folder / f"{name}.npy", array, allow_pickle=False)


def _load(folder: Path, name: str) -> NDArray[Any]:
    array: NDArray[Any] = np.load(folder / f"{name}.npy", allow_pickle=False)
    return array
