"""The bundle: a directory that holds everything a service needs, and how both sides agree on it.

bundle/
  manifest.json      format, model version, configuration, metrics, sha256 of every other file
  model_card.md      the same for a person
  catalog.jsonl      items in row order
  tables/*.npy       item vectors, semantic IDs, trie, evidence, popularity, how a new item is placed; of a
                     large catalogue the vectors again, by cells
  tokenizer/         from an item's text to its semantic ID
  graphs/*.onnx      encode, think, answer, consider, deliberate
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from model_export.contract.catalog import Catalog
from model_export.contract.config import (
    DeliberationConfig,
    EvidenceConfig,
    InferenceConfig,
    ModelConfig,
    StrictModel,
)
from model_export.contract.errors import BundleError
from model_export.contract.files import sha256, write_json

FORMAT_VERSION = 5
GraphName = Literal["encode", "think", "answer", "consider", "deliberate"]
GRAPHS: tuple[GraphName, ...] = get_args(GraphName)


class FileRecord(StrictModel):
    """Fingerprint of one file of the bundle."""

    sha256: str
    bytes: int


class IndexRecord(StrictModel):
    """What the manifest says of the index over a large catalogue."""

    cells: int
    recall: float | None = Field(
        None, description="Share of the exact top 10 that an answer through the index has."
    )


class Manifest(StrictModel):
    """What manifest.json holds."""

    format_version: int = FORMAT_VERSION
    model_version: str = Field(description="Names these exact weights and tables.")
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    verified: bool = Field(
        False, description="Torch and ONNX Runtime gave the same answers on real histories."
    )
    code_sizes: tuple[int, ...] = Field(description="Codes per level of the semantic IDs.")
    model: ModelConfig
    deliberation: DeliberationConfig
    evidence: EvidenceConfig = Field(
        EvidenceConfig(), description="How the evidence tables were counted."
    )
    inference: InferenceConfig
    index: IndexRecord | None = Field(
        None, description="None where the catalogue is small enough to be ranked whole."
    )
    scoring: dict[str, float] = Field(description="Weights of the final score.")
    metrics: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] = Field(
        default_factory=dict, description="Counts and fingerprints of the training data."
    )
    files: dict[str, FileRecord] = Field(default_factory=dict)


class Bundle:
    """A verified bundle on disk; tables are memory-mapped when first asked for, and kept."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self.catalog = Catalog.read(path / "catalog.jsonl")
        self._seal = _identity(path)
        self._tables: dict[str, NDArray[Any]] = {}

    def table(self, name: str) -> NDArray[Any]:
        """The table `name`, read-only.

        Raises:
            BundleError: the bundle has no such table, or another bundle lies there by now.
        """
        if name not in self._tables:
            try:
                table: NDArray[Any] = np.load(
                    self.path / "tables" / f"{name}.npy", mmap_mode="r", allow_pickle=False
                )
            except (OSError, ValueError) as error:
                raise BundleError(
                    f"bundle {self.path} lacks the table {name!r}: {error}"
                ) from error
            self.check_in_place()
            self._tables[name] = np.asarray(table)
        return self._tables[name]

    def check_in_place(self) -> None:
        """Check that whatever was just read from `path` was read from this very bundle.

        Raises:
            BundleError: another one lies there by now, or none.
        """
        if _identity(self.path) != self._seal:
            raise BundleError(f"another bundle took the place of {self.path} after it was opened")

    def graph(self, name: GraphName) -> Path:
        """Where the ONNX graph `name` lies."""
        return self.path / "graphs" / f"{name}.onnx"


def write_table(bundle: Path, name: str, table: NDArray[Any]) -> None:
    """Store one table of a bundle that is being written."""
    (bundle / "tables").mkdir(parents=True, exist_ok=True)
    np.save(bundle / "tables" / f"{name}.npy", np.ascontiguousarray(table), allow_pickle=False)


def seal_bundle(path: Path, manifest: Manifest) -> Manifest:
    """Fingerprint every file under `path` and write the manifest last: a torn bundle has none."""
    files = {
        name: FileRecord(sha256=sha256(path / name), bytes=(path / name).stat().st_size)
        for name in sorted(_files_of(path))
    }
    sealed = manifest.model_copy(update={"files": files})
    write_json(path / "manifest.json", sealed.model_dump(mode="json"))
    return sealed


def open_bundle(path: Path, *, require_verified: bool = True) -> Bundle:
    """Check every checksum and open the bundle.

    Raises:
        BundleError: nothing is there, the format is newer, a file is missing, changed or extra, or
            the bundle was never verified.
    """
    manifest = read_manifest(path)
    if require_verified and not manifest.verified:
        raise BundleError(
            f"bundle {path} was never verified; run `streamrec export` again to verify it"
        )
    present = set(_files_of(path))
    for name, record in manifest.files.items():
        if name not in present:
            raise BundleError(f"bundle {path} is damaged: {name} is missing; export it again")
        if sha256(path / name) != record.sha256:
            raise BundleError(
                f"bundle {path} is damaged: {name} differs from its checksum; export it again"
            )
    if extra := present - set(manifest.files):
        raise BundleError(
            f"bundle {path} holds a file that its manifest does not name: {min(extra)}; remove it"
        )
    return Bundle(path, manifest)


def read_manifest(path: Path) -> Manifest:
    """Read and check manifest.json alone.

    Raises:
        BundleError: it is missing, unreadable, or of a format that this version does not know.
    """
    file = path / "manifest.json"
    if not file.is_file():
        raise BundleError(
            f"{path} is not a bundle (no manifest.json); correct the path, or make one "
            "there with `streamrec export`"
        )
    try:
        text = file.read_text(encoding="utf-8")
        version = _FormatOnly.model_validate_json(text).format_version
        if version != FORMAT_VERSION:
            raise BundleError(
                f"bundle {path} has format {version}, this version reads {FORMAT_VERSION}; "
                "export it again or use the matching version"
            )
        return Manifest.model_validate_json(text)
    except (ValidationError, UnicodeDecodeError) as error:
        raise BundleError(f"bundle {path} is damaged: manifest.json is not readable") from error


class _FormatOnly(StrictModel):
    model_config = StrictModel.model_config | {"extra": "ignore"}

    format_version: int


def _identity(bundle: Path) -> tuple[int, int] | None:
    """Differs for every manifest that ever lay in this place."""
    try:
        about = (bundle / "manifest.json").stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns


def _files_of(path: Path) -> Iterator[str]:
    for file in path.rglob("*"):
        name = file.relative_to(path).as_posix()
        if file.is_file() and name != "manifest.json":
            yield name
