from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.contract.prefix_index import PrefixIndex

CODES = 4


@st.composite
def distinct_ids(draw: st.DrawFn) -> list[tuple[int, ...]]:
    levels = draw(st.integers(1, 4))
    semantic_id = st.tuples(*[st.integers(0, CODES - 1)] * levels)
    return draw(st.lists(semantic_id, min_size=1, max_size=20, unique=True))


@given(distinct_ids())
def test_the_children_of_a_prefix_are_the_codes_that_follow_it(ids: list[tuple[int, ...]]) -> None:
    index = PrefixIndex.build(np.array(ids))
    for level, nodes in enumerate(index.child_codes):
        prefixes = sorted({i[:level] for i in ids})
        for prefix, children in zip(prefixes, nodes, strict=True):
            following = {i[level] for i in ids if i[:level] == prefix}
            assert children[children >= 0].tolist() == sorted(following)


@given(distinct_ids())
def test_leaf_ranges_hold_the_items_under_each_prefix(ids: list[tuple[int, ...]]) -> None:
    index = PrefixIndex.build(np.array(ids))
    for level in range(index.levels):
        prefixes = sorted({i[: level + 1] for i in ids})
        assert len(prefixes) == len(index.leaf_range[level])
        for prefix, (start, end) in zip(prefixes, index.leaf_range[level], strict=True):
            under = [row for row, i in enumerate(ids) if i[: level + 1] == prefix]
            assert sorted(index.leaf_items[start:end]) == under


@given(distinct_ids())
def test_walking_the_tables_spells_every_semantic_id(ids: list[tuple[int, ...]]) -> None:
    index = PrefixIndex.build(np.array(ids))
    for row, semantic_id in enumerate(ids):
        node = 0
        for level, code in enumerate(semantic_id):
            slot = index.child_codes[level][node].tolist().index(code)
            node = index.first_child[level][node] + slot
        assert index.leaf_items[node] == row


def test_a_shared_semantic_id_is_refused() -> None:
    with pytest.raises(ValueError, match="two items share"):
        PrefixIndex.build(np.array([[0, 1], [2, 2], [0, 1]]))
