from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from training.data.batches import Windows
from training.model import StreamRec
from training.reasoning import annotate, start_codebook
from training.stages import stage2_annotate
from training.stages.stage2_annotate import annotate_all

from .. import tiny


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage2_annotate, "SHARD", 7)


def label(model: StreamRec, windows: Windows, folder: Path) -> tuple[np.ndarray, list[float]]:
    return annotate_all(model, windows, tiny.catalog(), folder, tiny.silent())


def test_every_target_is_labelled_as_if_alone(model: StreamRec, tmp_path: Path) -> None:
    start_codebook(model)
    windows = tiny.windows(users=6, length=10)
    labels, _ = label(model, windows, tmp_path)
    assert labels.shape == (60, tiny.STEPS)
    for place in range(60):
        user, position = divmod(place, 10)
        if position == 0:
            assert (labels[place] == -1).all()
            continue
        window = next(w for w in range(len(windows)) if place in windows.targets_of(w))
        history = windows.items[windows.start[window] : place]
        assert windows.start[window] >= 10 * user
        context = model.read(torch.from_numpy(history)[None])
        target = model.item_targets()[windows.items[place]][None].detach()
        tokens, _ = annotate(model, context, target, tiny.STEPS)
        assert labels[place].tolist() == tokens[0].tolist()


@pytest.mark.usefixtures("small_shards")
def test_what_is_on_disk_is_not_computed_again(model: StreamRec, tmp_path: Path) -> None:
    windows = tiny.windows()
    labels, distances = label(model, windows, tmp_path)
    shards = sorted(tmp_path.glob("shard-*.npy"))
    assert len(shards) == 4  # 24 windows, 7 in a shard
    times = {path: path.stat().st_mtime_ns for path in shards[1:]}
    shards[0].unlink()
    again, same = label(model, windows, tmp_path)
    np.testing.assert_array_equal(again, labels)
    assert same == distances
    assert {path: path.stat().st_mtime_ns for path in shards[1:]} == times
    whole, _ = label(model, windows, tmp_path / "whole")
    np.testing.assert_array_equal(whole, labels)


def test_traces_can_be_read_by_a_person(model: StreamRec, tmp_path: Path) -> None:
    _, distances = label(model, tiny.windows(), tmp_path)
    lines = (tmp_path / "traces.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 24
    trace = json.loads(lines[0])
    assert trace["history"] == [f"Größe {row}" for row in range(6)]
    assert trace["target"] == "Größe 6"
    assert all(step.startswith("level ") for step in trace["written"])
    assert len(trace["written"]) == tiny.STEPS
    assert len(trace["distance"]) == len(distances) == tiny.STEPS + 1
    assert all(0 <= value <= 2 for value in distances)
