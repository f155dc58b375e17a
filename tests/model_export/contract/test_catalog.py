from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.contract.catalog import Catalog, Item
from model_export.contract.errors import BundleError

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
items = st.builds(
    Item,
    item_id=text,
    title=st.none() | text,
    categories=st.lists(text, max_size=3),
    brand=st.none() | text,
    description=st.none() | text,
    available=st.booleans(),
    properties=st.dictionaries(text, text | st.integers(-(10**9), 10**9) | st.none(), max_size=2),
)


@given(st.lists(items, max_size=5, unique_by=lambda item: item.item_id))
def test_a_written_catalogue_reads_back(
    tmp_path_factory: pytest.TempPathFactory, shop: list[Item]
) -> None:
    path = tmp_path_factory.mktemp("catalogue") / "catalog.jsonl"
    Catalog(shop).write(path)
    assert Catalog.read(path).items == shop


def test_rows_follow_the_order_and_unknown_ids_are_listed() -> None:
    catalog = Catalog([Item(item_id="b"), Item(item_id="a", title="Anvil")])
    assert catalog.split_known(["a", "x", "b", "x"]) == ([1, 0], ["x", "x"])
    assert catalog.row("x") is None
    assert [item.label for item in catalog] == ["b", "Anvil"]


def test_the_text_holds_everything_that_is_written() -> None:
    item = Item(item_id="1", title="Anvil", categories=["Tools", "Forge"], brand="Acme")
    assert item.text == "Anvil Tools Forge Acme"
    assert Item(item_id="2").text == ""


def test_repeated_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="unique"):
        Catalog([Item(item_id="a"), Item(item_id="a")])


@pytest.mark.parametrize(
    "content", ["{", '{"item_id": 3}\n', '{"item_id": "a", "colour": "red"}\n']
)
def test_a_damaged_catalogue_gives_one_clear_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "catalog.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BundleError, match=r"catalog\.jsonl cannot be read"):
        Catalog.read(path)
