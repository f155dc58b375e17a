"""What a history makes one think of, and what that may know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING
from model_export.contract.scoring import DECAYS, EVIDENCE, FEATURES, TABLES, Array, Scorer
from training.decoding import first_step
from training.deliberation import Deliberator
from training.lists import CandidateLists, build_lists, fit_mix_weights, state_logits
from training.model import StreamRec

from . import tiny


def scorer(weights: dict[str, float] | None = None) -> Scorer:
    """Each item's neighbours are the two that come after it."""
    items = np.stack([(np.arange(20) + k) % 20 for k in (1, 2)], 1)
    table = NeighbourTable(items, np.tile(np.float32([0.02, 0.01]), (20, 1)))
    weights = weights or {"state": 1.0, "memory@0.8": 2.0}
    return Scorer(dict.fromkeys(TABLES, table), np.arange(20), np.arange(20), weights)


def no_logits(rows: NDArray[np.int64]) -> Array:
    return np.zeros((len(rows), tiny.N_ITEMS), np.float32)


def test_what_was_seen_is_a_candidate_where_people_come_back_to_it() -> None:
    mix = {"state": 1.0, "memory@0.8": 2.0}
    for repeat, candidates in {5.0: [4, 5, 6], -5.0: [5, 6, 0]}.items():
        weighed = scorer({**mix, "repeat@1.0": repeat})
        lists = build_lists([np.array([4])], np.array([4]), no_logits, weighed, 3)
        assert lists.candidates.tolist() == [candidates]


def test_the_label_is_the_place_of_the_target() -> None:
    histories = [np.array([4]), np.array([4]), np.array([4]), np.array([4])]
    targets = np.array([5, 6, 19, 12])
    lists = build_lists(histories, targets, no_logits, scorer(), 3)
    assert lists.candidates[:, :2].tolist() == [[5, 6]] * 4
    assert lists.label[:3].tolist() == [0, 1, -1]
    for candidates, label, target in zip(lists.candidates, lists.label, targets, strict=True):
        assert (label >= 0) == (target in candidates)


def test_candidates_are_the_best_of_the_mix_in_order() -> None:
    lists = build_lists([np.array([4])], np.array([5]), no_logits, scorer(), 20)
    assert lists.candidates.shape == (1, 20)
    mix = lists.features[0, :, FEATURES.index("mix")]
    assert mix[0] == 0
    assert (np.diff(mix) <= 0).all()


def test_features_and_history_are_those_of_the_scorer() -> None:
    histories = tiny.histories(3, 40)
    lists = build_lists(histories, np.array([5, 6]), no_logits, scorer(), 6)
    rows = np.full((2, 40), PADDING)
    rows[0, -3:], rows[1] = histories
    for column, name in enumerate(FEATURES[: len(EVIDENCE) * len(DECAYS)]):
        whole = scorer().evidence(rows, name)
        expected = np.take_along_axis(whole, lists.candidates.astype(np.int64), 1)
        np.testing.assert_allclose(lists.features[..., column], expected, rtol=2e-3, atol=1e-4)
    assert lists.history.shape == (2, Deliberator.recent)
    assert lists.history[0].tolist() == [PADDING] * 17 + histories[0].tolist()
    assert lists.history[1].tolist() == histories[1][-20:].tolist()


def test_many_lists_equal_each_alone(monkeypatch: pytest.MonkeyPatch, model: StreamRec) -> None:
    histories = tiny.histories(3, 1, 7, 2, 5)
    targets = np.array([1, 2, 3, 4, 5])
    whole = build_lists(histories, targets, state_logits(model), scorer(), 6)
    monkeypatch.setattr("training.lists.CHUNK", 2)
    parts = build_lists(histories, targets, state_logits(model), scorer(), 6)
    np.testing.assert_array_equal(whole.candidates, parts.candidates)
    np.testing.assert_allclose(whole.features, parts.features, atol=2e-2)


def test_state_logits_are_those_of_step_zero(model: StreamRec) -> None:
    rows = np.full((2, 9), PADDING)
    rows[0], rows[1, -2:] = tiny.histories(9, 2)
    found = state_logits(model)(rows)
    with torch.no_grad():
        for line, row in zip(found, rows, strict=True):
            newest = row[row != PADDING][-tiny.MAX_HISTORY :]
            state = first_step(model, model.read(torch.from_numpy(newest)[None])).state
            expected = model.item_logits(state, model.item_targets())[0]
            np.testing.assert_allclose(line, expected.numpy(), atol=1e-4)


def test_lists_come_back_from_disk_and_join(tmp_path: Path) -> None:
    lists = build_lists(tiny.histories(3, 4), np.array([5, 6]), no_logits, scorer(), 6)
    lists.save(tmp_path / "lists.npz")
    twice = CandidateLists.join([CandidateLists.load(tmp_path / "lists.npz"), lists])
    assert len(twice) == 4
    for name in ("candidates", "features", "label", "history"):
        table = getattr(lists, name)
        assert getattr(twice, name).dtype == table.dtype
        np.testing.assert_array_equal(getattr(twice, name), np.concatenate([table, table]))
    np.testing.assert_array_equal(twice[np.array([3, 0])].label, lists.label[[1, 0]])


def planted_lists(planted: dict[str, float]) -> CandidateLists:
    """The target is drawn by the softmax of the planted score."""
    rng = np.random.default_rng(2)
    features = rng.normal(size=(3000, 12, len(FEATURES))).astype(np.float16)
    score = sum(w * features[..., FEATURES.index(name)] for name, w in planted.items())
    label = (score + rng.gumbel(size=(3000, 12))).argmax(1)
    label[:100] = -1  # lists without their target teach nothing
    return CandidateLists(
        np.zeros((3000, 12), np.int32),
        features,
        label.astype(np.int32),
        np.zeros((3000, 20), np.int32),
    )


def test_fitted_weights_recover_the_order_of_planted_ones() -> None:
    planted = {"state": 2.0, "text@0.8": 1.0, "wide@0.8": 0.3, "popularity": 0.0}
    fitted = fit_mix_weights(planted_lists(planted), tuple(planted))
    for name, weight in planted.items():
        assert fitted[name] == pytest.approx(weight, abs=0.15)


def test_evidence_is_never_subtracted_and_none_where_it_is_of_no_use() -> None:
    planted = {"state": 1.0, "text@0.8": -1.0}
    fitted = fit_mix_weights(planted_lists(planted), tuple(planted))
    assert fitted["state"] > 0.5
    assert fitted["text@0.8"] == 0


@pytest.mark.parametrize("weight", [-1.0, 1.0])
def test_people_may_come_back_to_what_they_had_or_avoid_it(weight: float) -> None:
    planted = {"state": 1.0, "repeat@1.0": weight}
    fitted = fit_mix_weights(planted_lists(planted), tuple(planted))
    assert fitted["repeat@1.0"] == pytest.approx(weight, abs=0.15)


def test_no_histories_give_no_lists_and_the_default_weights() -> None:
    lists = build_lists([], np.zeros(0, np.int64), no_logits, scorer(), 6)
    assert len(lists) == 0
    assert lists.features.shape[1:] == (6, len(FEATURES))
    assert fit_mix_weights(lists, ("state", "popularity")) == {"state": 1.0, "popularity": 0.0}
