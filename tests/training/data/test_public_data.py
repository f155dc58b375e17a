"""Public data sets give the published counts; skipped where the data is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from training.data.prepare import prepare

DATA = Path(
    os.environ.get("STREAMREC_DATA", Path(__file__).parents[3].parent / "shared" / "data")
).resolve()


@pytest.mark.parametrize(
    ("name", "min_interactions", "users", "items", "interactions"),
    [
        ("scientific", 0, 8317, 4344, 58_492),
        ("beauty", 0, 22_363, 12_101, 198_502),
        ("ml-100k", 0, 943, 1682, 100_000),
        ("scientific", 5, 8317, 4344, 58_492),
        ("beauty", 5, 22_363, 12_101, 198_502),
        ("ml-100k", 5, 943, 1349, 99_287),
    ],
)
def test_counts(
    name: str, min_interactions: int, users: int, items: int, interactions: int
) -> None:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; set STREAMREC_DATA to the folder that holds {name}")
    report = prepare(
        folder / "interactions.csv", folder / "items.csv", min_interactions=min_interactions
    ).report
    assert (report.users, report.items, report.interactions) == (users, items, interactions)
    assert not report.unknown_items
