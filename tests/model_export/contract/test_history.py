from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model_export.contract.history import PADDING, encode_history

histories = st.lists(st.lists(st.integers(0, 99), max_size=8), min_size=1, max_size=5)


@given(histories, st.integers(1, 6))
def test_the_most_recent_items_stand_at_the_right(users: list[list[int]], max_history: int) -> None:
    table = encode_history(users, max_history)
    assert table.shape[1] == max(1, *(min(len(user), max_history) for user in users), 1)
    for line, user in zip(table.tolist(), users, strict=True):
        kept = user[-max_history:]
        assert line == [PADDING] * (len(line) - len(kept)) + kept


@given(histories, st.integers(1, 6))
def test_a_fixed_width_only_adds_padding(users: list[list[int]], max_history: int) -> None:
    table = encode_history(users, max_history, width=10)
    tight = encode_history(users, max_history)
    assert table.shape == (len(users), 10)
    assert (table[:, -tight.shape[1] :] == tight).all()
    assert (table[:, : -tight.shape[1]] == PADDING).all()
