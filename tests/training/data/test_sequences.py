"""Splits of a ten-row table, worked out by hand; saving and loading."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.contract.errors import RunError
from training.data.sequences import Sequences, Split


def make(lengths: list[int], timestamps: bool = True) -> Sequences:
    """Users with histories 0, 1, 2, …, numbered through."""
    total = sum(lengths)
    return Sequences(
        [f"u{user}" for user in range(len(lengths))],
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.arange(total),
        np.arange(total, dtype=np.float64) if timestamps else None,
    )


def test_leave_one_out_by_hand() -> None:
    sequences = make([5, 2, 3])  # 0 1 2 3 4 | 5 6 | 7 8 9
    training = sequences.training()
    assert training.user_ids == sequences.user_ids
    assert [training[user].tolist() for user in range(3)] == [[0, 1, 2], [5, 6], [7]]
    assert training.timestamps is not None
    assert training.timestamps.tolist() == [0, 1, 2, 5, 6, 7]

    valid = sequences.holdout("valid")
    assert valid.users.tolist() == [0, 2]
    assert [history.tolist() for history in valid.histories] == [[0, 1, 2], [7]]
    assert valid.targets.tolist() == [3, 8]

    test = sequences.holdout("test")
    assert test.users.tolist() == [0, 2]
    assert [history.tolist() for history in test.histories] == [[0, 1, 2, 3], [7, 8]]
    assert test.targets.tolist() == [4, 9]


def test_nobody_to_evaluate() -> None:
    sequences = make([2, 1])
    assert sequences.training().items.tolist() == [0, 1, 2]
    assert len(sequences.holdout("test").targets) == 0


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_training_and_targets_are_all_items_once(lengths: list[int]) -> None:
    sequences = make(lengths)
    splits: tuple[Split, Split] = ("valid", "test")
    parts = [sequences.training().items, *(sequences.holdout(s).targets for s in splits)]
    assert sorted(np.concatenate(parts).tolist()) == sequences.items.tolist()


@pytest.mark.parametrize("timestamps", [True, False])
def test_save_and_load(tmp_path: Path, timestamps: bool) -> None:
    sequences = make([5, 2, 3], timestamps)
    sequences.save(tmp_path)
    loaded = Sequences.load(tmp_path)
    assert loaded.fingerprint == sequences.fingerprint
    assert loaded.user_ids == sequences.user_ids
    np.testing.assert_array_equal(loaded.items, sequences.items)
    assert (loaded.timestamps is None) == (not timestamps)
    assert not list(tmp_path.glob(".*"))


def test_fingerprint_sees_every_part() -> None:
    base = make([5, 2, 3])
    variants = [
        base,
        make([5, 2, 3], timestamps=False),
        make([5, 3, 2]),
        Sequences(["u0", "u1", "x"], base.offsets, base.items, base.timestamps),
        Sequences(base.user_ids, base.offsets, base.items[::-1].copy(), base.timestamps),
    ]
    assert len({variant.fingerprint for variant in variants}) == len(variants)


def test_load_refuses_what_save_did_not_write(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        Sequences.load(tmp_path)
    make([5, 2, 3]).save(tmp_path)
    other = tmp_path / "other"
    make([5, 3, 2]).save(other)
    (other / "offsets.npy").replace(tmp_path / "offsets.npy")
    with pytest.raises(RunError, match=r"are damaged; delete .* and train again"):
        Sequences.load(tmp_path)
    (tmp_path / "offsets.npy").write_bytes(b"")
    with pytest.raises(RunError, match="cannot be read"):
        Sequences.load(tmp_path)
    (tmp_path / "sequences.json").write_text(json.dumps([]))
    with pytest.raises(RunError, match="cannot be read"):
        Sequences.load(tmp_path)
