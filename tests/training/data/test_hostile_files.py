"""Files that want to do harm: they are text, or refused, and never cost more memory than they may."""

from __future__ import annotations

import csv
import gzip
import io
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from model_export.contract.errors import DataError
from tests.training.data.files import write_text
from training.data.interactions import read_interactions
from training.data.items import read_items

FORMULAS = (
    "=1+1",
    '=HYPERLINK("http://evil.example","x")',
    "+cmd|' /C calc'!A0",
    "@SUM(1)",
    "-2",
    "\t=1",
)


def test_a_formula_is_text_like_any_other(tmp_path: Path) -> None:
    interactions, items = io.StringIO(), io.StringIO()
    csv.writer(interactions).writerows([("user_id", "item_id"), *((f, f) for f in FORMULAS)])
    csv.writer(items).writerows([("item_id", "title", "price"), *((f, f, f) for f in FORMULAS)])
    frame = read_interactions(write_text(tmp_path / "a.csv", interactions.getvalue())).frame
    assert frame["user_id"].to_list() == list(FORMULAS)
    catalog = read_items(write_text(tmp_path / "i.csv", items.getvalue()))
    assert [item.item_id for item in catalog] == list(FORMULAS)
    assert [item.properties["price"] for item in catalog] == list(FORMULAS)


def test_a_header_without_end_is_refused(tmp_path: Path) -> None:
    header = ",".join(f"c{number}" for number in range(1_000_000))
    path = write_text(tmp_path / "a.csv", f"{header}\n")
    with pytest.raises(DataError, match="row 1: 1,000,000 columns are more than 10,000"):
        read_interactions(path)


def test_a_field_of_a_gigabyte_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"user_id,item_id\nu,")
        for _ in range(1024):
            file.write(b"x" * (1 << 20))
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from training.data.interactions import read_interactions\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_interactions(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    said, kilobytes = ended.stdout.splitlines()
    assert said.startswith("DataError")
    assert "row 2: the line is longer than 10,485,760 bytes" in said
    assert int(kilobytes) < 100_000


def test_a_quote_that_never_closes_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w") as file:
        file.write('user_id,item_id\nu,"i\n')
        file.writelines("u,i\n" * 1000 for _ in range(4_000))
    with pytest.raises(DataError, match="row 2: not valid CSV"):
        read_interactions(path)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Whatever a test asks for beyond two more gigabytes fails at once."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("little_memory")
def test_a_footer_that_claims_more_rows_than_there_are(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"]}).write_parquet(
        path, compression="uncompressed"
    )
    content = path.read_bytes()
    at = content.rindex(b"PAR1") - 4 - int.from_bytes(content[-8:-4], "little")
    claimed = content[:at] + content[at:].replace(b"\x16\x04", b"\x16\x80", 3)
    path.write_bytes(claimed)
    with pytest.raises(DataError):
        read_interactions(path)


def test_a_key_that_stands_twice_counts_once(tmp_path: Path) -> None:
    line = '{"user_id": "first", "user_id": "last", "item_id": "i"}\n'
    frame = read_interactions(write_text(tmp_path / "a.jsonl", line)).frame
    assert frame["user_id"].to_list() == ["last"]


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.jsonl", '{"user_id": ' + "[" * 100_000)
    with pytest.raises(DataError, match="row 1: not valid JSON"):
        read_interactions(path)


def test_markup_is_text_like_any_other(tmp_path: Path) -> None:
    title = "<script>alert(1)</script>"
    line = json.dumps({"item_id": "i", "title": title})
    assert read_items(write_text(tmp_path / "i.jsonl", line))[0].title == title
