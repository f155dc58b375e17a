"""Everything that is computed of the items before any network is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_export.contract.catalog import Catalog
from model_export.contract.evidence import NeighbourTable
from model_export.contract.files import atomic_path
from model_export.contract.item_encoder import scaled_texts
from model_export.contract.item_tokenizer import ItemTokenizer
from model_export.contract.scoring import TABLES
from model_export.contract.semantic_ids import CodeVocabulary
from model_export.contract.text_vectors import unit_rows
from training.args import RunConfig
from training.data.sequences import Sequences
from training.items.assign import collision_free_codes, share_in_collision
from training.items.behaviour import behaviour_vectors
from training.items.cells import comparisons
from training.items.evidence import Evidence, fit_evidence
from training.items.neighbours import text_neighbours
from training.items.quantizer import code_usage, codes_per_level, fit_quantizer
from training.items.text import fit_text_encoder, tfidf_matrix
from training.items.vectors import fit_join


@dataclass(frozen=True)
class CatalogItems:
    """What later steps read of the items.

    Attributes:
        texts: (N, D) text vectors, zeros for an item without text.
        codes: (N, levels) collision-free semantic IDs.
        similar: (N, k) rows of the most similar items by text and behaviour.
        code_sizes: (levels,) size of each codebook.
        evidence: that of the training part.
    """

    texts: NDArray[np.float32]
    codes: NDArray[np.int64]
    similar: NDArray[np.int64]
    code_sizes: NDArray[np.int64]
    evidence: Evidence

    @property
    def vocabulary(self) -> CodeVocabulary:
        """Tokens of these semantic IDs."""
        return CodeVocabulary(tuple(int(size) for size in self.code_sizes))

    @classmethod
    def load(cls, folder: Path) -> CatalogItems:
        """Read what `fit_catalog_items` wrote."""

        def read(name: str) -> NDArray[Any]:
            table: NDArray[Any] = np.load(folder / f"{name}.npy", allow_pickle=False)
            return table

        tables = {
            name: NeighbourTable(read(f"{name}_items"), read(f"{name}_weights")) for name in TABLES
        }
        evidence = Evidence(read("popularity"), read("recent"), tables)
        arrays = ("texts", "codes", "similar", "code_sizes")
        return cls(**{name: read(name) for name in arrays}, evidence=evidence)


def fit_catalog_items(
    catalog: Catalog, training: Sequences, config: RunConfig, seed: int, folder: Path
) -> dict[str, object]:
    """Text vectors, semantic IDs and evidence, written to `folder`; returns the use of the codes."""
    settings, n_items = config.items, len(catalog)
    texts = [item.text for item in catalog]
    encoder = fit_text_encoder(texts, dims=settings.text_dims, seed=seed)
    sparse = encoder.tfidf(texts)
    dense = unit_rows(encoder.project(sparse))
    behaviour = behaviour_vectors(
        training.offsets, training.items, n_items,
        window=config.evidence.window, dims=settings.behaviour_dims, seed=seed,
    )  # fmt: skip
    join = fit_join(
        dense, behaviour,
        text_weight=settings.text_weight, behaviour_weight=settings.behaviour_weight,
    )  # fmt: skip
    vectors = join(dense, behaviour)
    quantizer = fit_quantizer(
        vectors, method=settings.method, levels=settings.levels,
        codes=codes_per_level(n_items, levels=settings.levels, largest=settings.codes), seed=seed,
    )  # fmt: skip
    encoded = quantizer.encode(vectors)
    collided = share_in_collision(quantizer.codes(encoded))
    codes = collision_free_codes(encoded, quantizer)
    tfidf = tfidf_matrix(sparse, len(encoder.vocabulary))
    text = text_neighbours(tfidf, comparisons(dense, seed), width=config.evidence.neighbours)
    evidence = fit_evidence(training.offsets, training.items, text, config.evidence)
    ItemTokenizer(encoder, join, quantizer).save(folder / "tokenizer")
    arrays: dict[str, NDArray[Any]] = {
        "texts": scaled_texts(dense),
        "codes": codes,
        "similar": most_similar(vectors, config.stage1.similar, seed),
        "code_sizes": np.full(settings.levels, quantizer.codebooks.shape[1]),
        **evidence.arrays(),
    }
    for name, array in arrays.items():
        with atomic_path(folder / f"{name}.npy") as partial, partial.open("wb") as file:
            np.save(file, array, allow_pickle=False)
    usage = [{"used": u.used, "perplexity": round(u.perplexity, 1)} for u in code_usage(codes)]
    return {"codes": list(quantizer.codebooks.shape[:2]), "collided": collided, "usage": usage}


def most_similar(vectors: NDArray[np.float32], count: int, seed: int) -> NDArray[np.int64]:
    """Rows (N, count) of each item's nearest others by cosine; see `cells.comparisons`."""
    unit = unit_rows(vectors)
    count = min(count, len(unit) - 1)
    similar = np.empty((len(unit), count), dtype=np.int64)
    for rows, others in comparisons(unit, seed):
        scores = unit[rows] @ unit[others].T
        scores[rows[:, None] == others] = -np.inf
        similar[rows] = others[np.argpartition(-scores, count - 1, axis=1)[:, :count]]
    return similar
