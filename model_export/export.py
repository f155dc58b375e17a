"""From a trained run to a verified bundle.

Written beside its destination and renamed once verified: a bundle that a service can see is whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model_export.contract.bundle import (
    IndexRecord,
    Manifest,
    open_bundle,
    read_manifest,
    seal_bundle,
    write_table,
)
from model_export.contract.errors import BundleError
from model_export.contract.files import sha256, write_json
from model_export.contract.graph_io import DYNAMIC_AXES, trie_axes
from model_export.contract.item_tokenizer import ItemTokenizer
from model_export.contract.reasoning import LoopTables
from model_export.contract.scoring import FEATURES
from model_export.indexing import indexed
from model_export.labels import code_labels
from model_export.model_card import model_card
from model_export.verify import verify_bundle
from training.deliberation import Deliberator
from training.graphs import graphs_of
from training.items.catalog_items import CatalogItems
from training.model import StreamRec
from training.run import Run, item_encoder, loop_tables
from training.run_folder import CODE_VERSION
from training.steps import StepName
from training.summary import final_figures

OPSET = 17


def export_bundle(run: Run, bundle: Path, tell: Callable[[str], None]) -> Manifest:
    """Write, verify and put in place the bundle of a finished run.

    Where `bundle` holds the same model already, nothing is done.

    Raises:
        RunError: the run is not finished.
        BundleError: `bundle` is some other folder, or ONNX Runtime and torch disagree.
    """
    run.folder.record("stage3")
    bundle = bundle.resolve()
    _restore_interrupted(bundle)
    version = model_version(run)
    if bundle.exists():
        if _holds(bundle, version):
            tell(f"{bundle}: unchanged, skipped")
            return read_manifest(bundle)
        if any(bundle.iterdir()) and not (bundle / "manifest.json").is_file():
            raise BundleError(f"{bundle} is not a bundle and not empty; name another folder")
    partial = bundle.with_name(f".{bundle.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model, deliberator = run.model(), run.deliberator
    tables = loop_tables(model, run.items, run.index)
    tables = indexed(tables, run.config.inference, run.seed)
    tell("exporting graphs")
    write_graphs(model, deliberator, tables, run.config.inference.beams, partial)
    _write_tables(run, model, tables, partial)
    index = tables.index.record if tables.index else None
    manifest = seal_bundle(partial, _manifest(run, version, index))
    tell("verifying ONNX Runtime against torch")
    found = verify_bundle(partial, run, model, deliberator)
    tell(f"verified: {found}")
    if index:
        index = index.model_copy(update={"recall": found.recall})
    manifest = manifest.model_copy(update={"verified": True, "index": index})
    (partial / "model_card.md").write_text(model_card(manifest), encoding="utf-8")
    manifest = seal_bundle(partial, manifest)
    _replace(bundle, partial)
    return manifest


def model_version(run: Run) -> str:
    """Names the weights and tables of a run, and what reads them: a digest of it all."""
    files: list[tuple[StepName, str]] = [
        ("stage3", "best.safetensors"),
        ("stage2_deliberate", "best.safetensors"),
        ("prepare", "catalog.jsonl"),
        *(("items", path.name) for path in sorted(run.folder.folder("items").glob("*.npy"))),
    ]
    digests = []
    for step, name in files:
        with run.folder.reading(step) as folder:
            digests.append(sha256(folder / name))
    seen = int(run.items.evidence.popularity.sum())  # more of it where the evidence is fresh
    content = [
        CODE_VERSION,
        run.mix_weights,
        run.config.model_dump(mode="json"),
        seen,
        *digests,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def write_graphs(
    model: StreamRec, deliberator: Deliberator, tables: LoopTables, beams: int, bundle: Path
) -> None:
    """Export every graph; sizes of batch, history, trie and candidates stay free."""
    (bundle / "graphs").mkdir()
    levels = model.vocabulary.levels
    axes = DYNAMIC_AXES | trie_axes(levels)
    inputs = example_inputs(deliberator, tables)
    for name, (graph, taken, given) in graphs_of(model, deliberator, beams).items():
        example = tuple(inputs[key] for key in taken)
        with torch.no_grad():
            inputs |= dict(zip(given, graph(*example), strict=True))
        if name == "encode":
            inputs |= {f"{key}_in": inputs[key] for key in ("past_keys", "past_values")}
            inputs["past_thought"] = inputs["thought"]
        _export(graph, example, bundle / "graphs" / f"{name}.onnx", taken, given, axes)


def example_inputs(deliberator: Deliberator, tables: LoopTables) -> dict[str, Tensor]:
    """Inputs of a batch of two short histories, to trace the graphs with."""
    rows = torch.tensor([[-1, 0, 1], [1, 0, 1]])
    count, width = 3, deliberator.thoughts.shape[1]
    item_inputs, texts = torch.from_numpy(tables.item_inputs), torch.from_numpy(tables.item_texts)
    trie = {name: torch.from_numpy(table) for name, table in tables.trie.items()}
    return {
        "history": item_inputs[rows.clamp(min=0)],
        "mask": rows >= 0,
        "token": torch.zeros(2, dtype=torch.long),
        "allowed": torch.ones(2, len(item_inputs), dtype=torch.bool),
        "features": torch.zeros(2, count, len(FEATURES)),
        "candidates": texts[:1].expand(2, count, -1),
        "history_texts": texts[rows.clamp(min=0)],
        "base": torch.zeros(2, count),
        "round": torch.ones(1),
        "judged_in": torch.zeros(2, count),
        "notes_in": torch.zeros(2, count, width),
        "thoughts_in": torch.zeros(2, len(deliberator.thoughts), width),
        **trie,
    }


def _export(
    graph: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    taken: tuple[str, ...],
    given: tuple[str, ...],
    axes: dict[str, dict[int, str]],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of every constant that it folds
        torch.onnx.export(
            graph,
            example,
            path,
            input_names=list(taken),
            output_names=list(given),
            dynamic_axes={key: axes[key] for key in (*taken, *given)},
            opset_version=OPSET,
            dynamo=False,  # its exporter takes a minute where this one takes a second
        )


def table_arrays(tables: LoopTables, items: CatalogItems) -> dict[str, NDArray[Any]]:
    """What the reasoning loop reads of the items, under the names that a bundle gives it."""
    return {
        "item_vectors": tables.item_vectors,
        "item_inputs": tables.item_inputs,
        "item_texts": tables.item_texts,
        "leaf_items": tables.leaf_items,
        "codes": items.codes,
        **tables.trie,
        **(tables.index.arrays() if tables.index else {}),
    }


def _write_tables(run: Run, model: StreamRec, tables: LoopTables, bundle: Path) -> None:
    items = run.items
    arrays = {
        **table_arrays(tables, items),
        **items.evidence.arrays(),
        **item_encoder(model).tables(),
    }
    for name, array in arrays.items():
        write_table(bundle, name, np.asarray(array))
    run.catalog.write(bundle / "catalog.jsonl")
    with run.folder.reading("items") as folder:
        ItemTokenizer.load(folder / "tokenizer")  # refuses a damaged one
    shutil.copytree(folder / "tokenizer", bundle / "tokenizer")
    labels = code_labels(
        run.catalog, items.codes, items.vocabulary.sizes, items.evidence.popularity
    )
    write_json(bundle / "code_labels.json", labels)


def _manifest(run: Run, version: str, index: IndexRecord | None) -> Manifest:
    prepared = run.folder.record("prepare")
    return Manifest(
        model_version=version,
        code_sizes=run.items.vocabulary.sizes,
        model=run.config.model,
        deliberation=run.config.deliberation,
        evidence=run.config.evidence,
        inference=run.config.inference,
        index=index,
        scoring=run.mix_weights,
        metrics=final_figures(run),
        data={**prepared["metrics"], "fingerprint": run.sequences.fingerprint, "seed": run.seed},
    )


def _holds(bundle: Path, version: str) -> bool:
    try:
        return open_bundle(bundle).manifest.model_version == version
    except BundleError:
        return False


def _restore_interrupted(bundle: Path) -> None:
    """Put the old bundle back where an interruption came between its removal and the new one."""
    old = bundle.with_name(f".{bundle.name}.old")
    if old.exists() and not bundle.exists():
        old.rename(bundle)


def _replace(bundle: Path, partial: Path) -> None:
    old = bundle.with_name(f".{bundle.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if bundle.exists():
        bundle.rename(old)
    partial.rename(bundle)
    shutil.rmtree(old, ignore_errors=True)
