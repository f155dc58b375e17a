"""What the README and the demo tell people to type."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from training.data.sample_shop import write_sample_shop

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def titles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    shop = tmp_path_factory.mktemp("sample")
    write_sample_shop(shop)
    with (shop / "items.csv").open(encoding="utf-8", newline="") as file:
        return {row["item_id"]: row["title"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", ["README.md", "docs/demo.txt"])
def test_the_examples_begin_with_a_camera_and_a_lens(name: str, titles: dict[str, str]) -> None:
    ids = dict.fromkeys(re.findall(r"SKU-\d+", (ROOT / name).read_text(encoding="utf-8")))
    camera, lens = (titles[item_id] for item_id in ids)
    assert "Camera" in camera
    assert "Lens" in lens


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")))
def test_links_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_tree_names_what_there_is() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"^```\n(streamrec/ .*?)^```", text, re.DOTALL | re.MULTILINE)
    folders = re.findall(r"^(\w+)/", tree, re.MULTILINE)
    named = [name for line in tree.splitlines() for name in re.findall(r"\w+(?:/|\.py)", line)]
    there = {path.name for folder in folders for path in (ROOT / folder).rglob("*.py")}
    there |= {f"{path.parent.name}/" for folder in folders for path in (ROOT / folder).rglob("*")}
    assert len(named) > 40
    assert set(named) - there == {"docs/", "scripts/"}


def test_the_reference_is_that_of_the_code() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "scripts/reference.py", "--check"], check=False
    )
    assert checked.returncode == 0, "run make docs"


def test_the_tests_that_a_document_names_exist() -> None:
    text = (ROOT / "docs/most-wanted.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[^`:]+)(?:::(\w+))?`", text)
    assert len(named) > 10
    for path, name in named:
        content = (ROOT / path).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in content, f"{path}::{name}"
