"""A bundle is refused unless ONNX Runtime and the bundle's tables answer as torch and the run do."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from model_export import verify
from model_export.contract.bundle import read_manifest, seal_bundle
from model_export.contract.errors import BundleError, RunError
from model_export.contract.files import read_json, write_json
from model_export.export import export_bundle, model_version
from model_export.verify import LEAST_RECALL, verify_bundle
from tests.tiny_shop import write_tiny_shop
from training.args import load_config
from training.pipeline import train
from training.run import Run
from training.run_folder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    shop = tmp_path_factory.mktemp("shop")
    write_tiny_shop(shop)
    config = load_config(shop / "config.toml")
    with Progress(disable=True) as progress:
        train(
            shop / "interactions.csv", shop / "items.csv", shop / "run", config, 0, progress,
            lambda _: None,
        )  # fmt: skip
    # In so small a shop the followers say everything; here the states shall count, too.
    path = shop / "run" / "stage2_deliberate" / "step.json"
    step = read_json(path, "")
    step["metrics"]["mix"]["state"] = 1.0
    write_json(path, step)
    return Run.open(shop / "run")


@pytest.fixture
def bundle(run: Run, tmp_path: Path) -> Path:
    export_bundle(run, tmp_path / "bundle", lambda _: None)
    return tmp_path / "bundle"


def spoil(bundle: Path, name: str, table: np.ndarray) -> None:
    np.save(bundle / "tables" / f"{name}.npy", table)
    seal_bundle(bundle, read_manifest(bundle))


def test_an_exported_bundle_is_verified(bundle: Path) -> None:
    assert read_manifest(bundle).verified


def refused(bundle: Path, run: Run, name: str, value: float) -> None:
    """Every second row of a table is multiplied by a value."""
    table = np.load(bundle / "tables" / f"{name}.npy")
    spoil(bundle, name, np.where(np.arange(len(table))[:, None] % 2, table, table * value))
    with pytest.raises(BundleError, match="refused"):
        verify_bundle(bundle, run, run.model(), run.deliberator)


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_other_vectors_are_refused(bundle: Path, run: Run, value: float) -> None:
    refused(bundle, run, "item_vectors", value)


def test_other_evidence_is_refused_where_it_counts(bundle: Path, run: Run) -> None:
    weights = {name: weight for name, weight in run.mix_weights.items() if "@" in name}
    heaviest = max(weights, key=lambda name: weights[name])
    refused(bundle, run, f"{heaviest.partition('@')[0]}_weights", 30.0)


def test_swapped_leaves_are_refused(bundle: Path, run: Run) -> None:
    spoil(bundle, "leaf_items", np.load(bundle / "tables" / "leaf_items.npy")[::-1])
    with pytest.raises(BundleError, match="refused"):
        verify_bundle(bundle, run, run.model(), run.deliberator)


@pytest.fixture
def large(run: Run) -> Run:
    """The same run, for whose catalogue an index is made."""
    inference = run.config.inference.model_copy(update={"exact_items": 47, "read_items": 12})
    return Run(run.folder, run.config.model_copy(update={"inference": inference}), run.seed)


def test_a_large_catalogue_has_an_index_and_its_recall_is_recorded(
    bundle: Path, large: Run, tmp_path: Path
) -> None:
    told: list[str] = []
    export_bundle(large, tmp_path / "large", told.append)
    index = read_manifest(tmp_path / "large").index
    assert index
    assert index.recall is not None
    assert index.recall >= LEAST_RECALL
    assert f"{index.recall:.1%} of the top 10 through the index" in told[-1]
    assert f"{index.recall:.1%}" in (tmp_path / "large" / "model_card.md").read_text()
    assert read_manifest(bundle).index is None
    assert not [*(bundle / "tables").glob("cell_*")]
    for table in (bundle / "tables").iterdir():
        assert table.read_bytes() == (tmp_path / "large" / "tables" / table.name).read_bytes()


def test_an_index_that_misses_too_many_of_the_best_is_refused(
    large: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "LEAST_RECALL", 1.01)
    with pytest.raises(BundleError, match=r"has only 1\S+% of the exact top 10, and 101% is"):
        export_bundle(large, tmp_path / "large", lambda _: None)
    assert not (tmp_path / "large").exists()


def test_a_damaged_bundle_is_exported_again(bundle: Path, run: Run) -> None:
    (bundle / "graphs" / "think.onnx").unlink()
    told: list[str] = []
    export_bundle(run, bundle, told.append)
    assert (bundle / "graphs" / "think.onnx").is_file()
    told.clear()
    export_bundle(run, bundle, told.append)
    assert told == [f"{bundle}: unchanged, skipped"]


def test_an_interrupted_swap_is_undone(bundle: Path, run: Run) -> None:
    bundle.rename(bundle.with_name(".bundle.old"))
    told: list[str] = []
    export_bundle(run, bundle, told.append)
    assert told == [f"{bundle}: unchanged, skipped"]


def test_models_of_other_weights_have_other_names(run: Run) -> None:
    before = model_version(run)
    weights = run.folder.folder("stage3") / "best.safetensors"
    kept = weights.with_suffix(".kept")
    shutil.copy(weights, kept)
    try:
        weights.write_bytes(weights.read_bytes() + b"\0")
        assert model_version(run) != before
    finally:
        kept.rename(weights)


def test_an_unfinished_run_is_not_exported(run: Run, tmp_path: Path) -> None:
    unfinished = Run(RunFolder(tmp_path), run.config, run.seed)
    with pytest.raises(RunError, match="no finished step 'stage3'"):
        export_bundle(unfinished, tmp_path / "bundle", lambda _: None)
    assert not (tmp_path / "bundle").exists()
