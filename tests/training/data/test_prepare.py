"""From raw files to histories: order, what is dropped, and the count of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_export.contract.errors import DataError
from tests.training.data.files import write_text
from training.data.prepare import Dataset, prepare

INTERACTIONS = """user_id,item_id,timestamp,rating
bob,tent,30,5
ann,lens,20,4
bob,stove,10,5
ann,tent,20,2
bob,lens,20,5
ann,ghost,5,5
cid,lens,1,5
ann,stove,10,5
"""
ITEMS = "item_id,title\nlens,Lens\ntent,Tent\nstove,Stove\nlamp,Lamp\n"


@pytest.fixture
def interactions(tmp_path: Path) -> Path:
    return write_text(tmp_path / "interactions.csv", INTERACTIONS)


@pytest.fixture
def items(tmp_path: Path) -> Path:
    return write_text(tmp_path / "items.csv", ITEMS)


def histories(dataset: Dataset) -> dict[str, list[str]]:
    """user → item ids, oldest first."""
    return {
        user_id: [dataset.catalog[row].item_id for row in dataset.sequences[user]]
        for user, user_id in enumerate(dataset.sequences.user_ids)
    }


def test_order_is_time_then_file(interactions: Path, items: Path) -> None:
    dataset = prepare(interactions, items)
    assert histories(dataset) == {
        "bob": ["stove", "lens", "tent"],
        "ann": ["stove", "lens", "tent"],
        "cid": ["lens"],
    }
    assert list(histories(dataset)) == ["bob", "ann", "cid"]
    assert dataset.sequences.timestamps is not None
    assert dataset.sequences.timestamps.tolist() == [10, 20, 30, 10, 20, 20, 1]


def test_order_without_timestamps_is_the_file(tmp_path: Path) -> None:
    text = "user_id,item_id\nu,b\nv,a\nu,a\nu,b\n"
    dataset = prepare(write_text(tmp_path / "interactions.csv", text))
    assert histories(dataset) == {"u": ["b", "a", "b"], "v": ["a"]}
    assert [item.item_id for item in dataset.catalog] == ["b", "a"]
    assert dataset.sequences.timestamps is None


def test_report(interactions: Path, items: Path) -> None:
    report = prepare(interactions, items, min_rating=3).report
    assert (report.read, report.users, report.items, report.interactions) == (8, 3, 4, 6)
    assert report.summary() == (
        "read 8 interactions\n"
        "dropped 1: rating below 3\n"
        "dropped 1: the item is not in the catalogue\n"
        f"  for example {interactions}, row 7: item 'ghost'\n"
        "kept 6 interactions of 3 users; 4 catalogue items"
    )


def test_report_says_how_often_people_come_back_to_an_item(tmp_path: Path) -> None:
    text = "user_id,item_id\nu,b\nv,a\nu,a\nu,b\nu,b\n"
    report = prepare(write_text(tmp_path / "interactions.csv", text)).report
    assert report.repeats == 2
    assert "40.0% of the interactions are with an item that the user had before" in report.summary()


def test_few_interactions_are_dropped_until_none_are_left(tmp_path: Path) -> None:
    # Dropping cid leaves `lamp` with one interaction; dropping that leaves bob with one.
    pairs = "ann,lens ann,tent dan,lens dan,tent bob,lens bob,lamp cid,lamp"
    path = write_text(tmp_path / "a.csv", "user_id,item_id\n" + pairs.replace(" ", "\n"))
    dataset = prepare(path, min_interactions=2)
    assert histories(dataset) == {"ann": ["lens", "tent"], "dan": ["lens", "tent"]}
    assert [item.item_id for item in dataset.catalog] == ["lens", "tent"]
    report = dataset.report
    assert (report.read, report.interactions, report.unused_items) == (7, 4, 1)
    assert report.dropped["the user or item has fewer than 2 interactions"] == 3


def test_items_that_nobody_met_stay_unless_asked(interactions: Path, items: Path) -> None:
    assert len(prepare(interactions, items).catalog) == 4
    dataset = prepare(interactions, items, min_interactions=1)
    assert [item.title for item in dataset.catalog] == ["Lens", "Tent", "Stove"]
    assert dataset.report.unused_items == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_id,item_id\nu,lens\nu,tent\n", "at least two users, but 1 is left"),
        ("user_id,item_id\nu,x\nv,y\n", "at least two users, but 0 is left"),
    ],
)
def test_too_little_is_left(tmp_path: Path, items: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare(write_text(tmp_path / "few.csv", text), items)
