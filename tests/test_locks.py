"""The lock files of the images: complete, hashed, in step with pyproject.toml, and silent on where from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LOCKS = {
    "serving-cpu.txt": ("service", "cpu"),
    "serving-gpu.txt": ("service", "gpu"),
    "training.txt": ("service", "export", "cpu"),
}
CHOSEN_BY_MACHINE = {"torch"}
"""See scripts/lock."""


def pins(name: str) -> dict[str, list[Version]]:
    """Pinned versions by package; several where they differ by Python."""
    found: dict[str, list[Version]] = {}
    for line in (ROOT / "locks" / name).read_text().splitlines():
        if pin := re.match(r"([a-z0-9-]+)==(\S+)", line):
            found.setdefault(pin[1], []).append(Version(pin[2]))
    return found


def wanted(project: dict[str, object], extras: tuple[str, ...]) -> list[Requirement]:
    optional = project["optional-dependencies"]
    assert isinstance(optional, dict)
    texts = list(project["dependencies"])  # type: ignore[call-overload]
    for extra in extras:
        texts += optional[extra]
    requirements = [Requirement(text) for text in texts]
    inner = tuple(e for r in requirements if r.name == "stream-rec" for e in r.extras)
    own = [requirement for requirement in requirements if requirement.name != "stream-rec"]
    return own + (wanted(project, inner) if inner else [])


@pytest.mark.parametrize("name", [*LOCKS, "build.txt"])
def test_everything_has_a_hash_and_nothing_names_an_index(name: str) -> None:
    text = (ROOT / "locks" / name).read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=\S)", text.strip())
    for block in blocks:
        assert re.match(r"[a-z0-9-]+==\S+", block), block
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize(("name", "extras"), LOCKS.items())
def test_every_dependency_is_pinned_within_its_range(name: str, extras: tuple[str, ...]) -> None:
    pinned = pins(name)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in wanted(project, extras):
        if requirement.name not in CHOSEN_BY_MACHINE:
            assert requirement.name in pinned, f"{requirement.name}: run make lock"
            for version in pinned[requirement.name]:
                assert version in requirement.specifier, requirement
    assert not CHOSEN_BY_MACHINE & pinned.keys()


def test_the_serving_image_carries_no_torch() -> None:
    for name in ("serving-cpu.txt", "serving-gpu.txt"):
        assert not {"torch", "polars", "scipy", "scikit-learn"} & pins(name).keys()


def test_the_images_install_from_the_locks() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for name in ("build", "serving-${RUNTIME}", "training"):
        assert f"pip install --require-hashes --no-deps -r locks/{name}.txt" in dockerfile
