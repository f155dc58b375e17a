from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model_export.contract.bundle import (
    FORMAT_VERSION,
    Manifest,
    open_bundle,
    seal_bundle,
    write_table,
)
from model_export.contract.catalog import Catalog, Item
from model_export.contract.config import DeliberationConfig, InferenceConfig, ModelConfig
from model_export.contract.errors import BundleError

CODES = np.array([[0, 1], [1, 0]])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return _bundle(tmp_path / "bundle", verified=True)


def _bundle(path: Path, *, verified: bool) -> Path:
    path.mkdir()
    Catalog([Item(item_id="a"), Item(item_id="b")]).write(path / "catalog.jsonl")
    write_table(path, "codes", CODES)
    manifest = Manifest(
        model_version="test",
        verified=verified,
        code_sizes=(2, 2),
        model=ModelConfig(),
        deliberation=DeliberationConfig(),
        inference=InferenceConfig(),
        scoring={"memory": 1.0},
    )
    seal_bundle(path, manifest)
    return path


def test_a_sealed_bundle_opens(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert [item.item_id for item in opened.catalog] == ["a", "b"]
    assert set(opened.manifest.files) == {"catalog.jsonl", "tables/codes.npy"}
    np.testing.assert_array_equal(opened.table("codes"), CODES)
    with pytest.raises(BundleError, match="lacks the table 'popularity'"):
        opened.table("popularity")


def test_a_table_is_never_that_of_a_bundle_put_in_its_place(bundle: Path, tmp_path: Path) -> None:
    opened = open_bundle(bundle)
    np.testing.assert_array_equal(opened.table("codes"), CODES)
    unread = open_bundle(bundle)
    bundle.rename(tmp_path / "old")
    _bundle(bundle, verified=True)
    np.testing.assert_array_equal(opened.table("codes"), CODES)
    with pytest.raises(BundleError, match="another bundle took the place"):
        unread.table("codes")


def _flip_a_byte(bundle: Path) -> None:
    file = bundle / "tables/codes.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def _remove_a_file(bundle: Path) -> None:
    (bundle / "tables/codes.npy").unlink()


def _add_a_file(bundle: Path) -> None:
    (bundle / "tables/manifest.json").write_text("{}")


def _raise_the_format(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    newer = manifest | {"format_version": FORMAT_VERSION + 1, "a_key_of_the_future": True}
    (bundle / "manifest.json").write_text(json.dumps(newer))


def _truncate_the_manifest(bundle: Path) -> None:
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(text[: len(text) // 2])


def _remove_the_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_flip_a_byte, "tables/codes.npy differs from its checksum"),
        (_remove_a_file, "tables/codes.npy is missing"),
        (_add_a_file, "does not name: tables/manifest.json"),
        (
            _raise_the_format,
            f"has format {FORMAT_VERSION + 1}, this version reads {FORMAT_VERSION}",
        ),
        (_truncate_the_manifest, "manifest.json is not readable"),
        (_remove_the_manifest, "correct the path, or make one there with `streamrec export`"),
    ],
)
def test_damage_gives_one_clear_error(
    bundle: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(bundle)
    with pytest.raises(BundleError, match=message) as error:
        open_bundle(bundle)
    assert "\n" not in str(error.value)


def test_an_unverified_bundle_opens_only_on_request(tmp_path: Path) -> None:
    path = _bundle(tmp_path / "bundle", verified=False)
    with pytest.raises(BundleError, match="never verified"):
        open_bundle(path)
    assert not open_bundle(path, require_verified=False).manifest.verified
