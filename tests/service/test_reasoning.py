"""The reasoning loop over real ONNX graphs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model_export.contract import scoring
from model_export.contract.bundle import BundleError, open_bundle, read_manifest, seal_bundle
from service.reasoning import OnnxReasoner
from service.runner import GraphRunner
from service.trace import Answer, Query
from tests.service.tiny_bundle import ITEMS, add_index

EVERY = np.ones(ITEMS, dtype=bool)


@pytest.fixture(scope="module")
def indexed_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("indexed") / "bundle"
    shutil.copytree(tiny_bundle, path)
    add_index(path, reach=8)
    return path


@pytest.fixture(scope="module", params=["every item", "through an index"])
def reasoner(
    request: pytest.FixtureRequest, tiny_bundle: Path, indexed_bundle: Path
) -> Iterator[OnnxReasoner]:
    indexed = request.param == "through an index"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "IN_DEMAND", 2)
        yield OnnxReasoner(open_bundle(indexed_bundle if indexed else tiny_bundle), threads=1)


@pytest.mark.parametrize("part", ["centres", "starts", "rows", "vectors"])
def test_a_missing_table_of_the_index_is_named(
    indexed_bundle: Path, tmp_path: Path, part: str
) -> None:
    shutil.copytree(indexed_bundle, tmp_path / "bundle")
    (tmp_path / "bundle" / "tables" / f"cell_{part}.npy").unlink()
    seal_bundle(tmp_path / "bundle", read_manifest(tmp_path / "bundle"))
    with pytest.raises(BundleError, match=f"lacks the table 'cell_{part}'"):
        OnnxReasoner(open_bundle(tmp_path / "bundle"), threads=1)


def test_an_index_is_read_in_part(
    tiny_bundle: Path, indexed_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of an answer is what ranking every item gives; all that is asked for comes."""
    monkeypatch.setattr(scoring, "IN_DEMAND", 2)
    whole, indexed = (OnnxReasoner(open_bundle(b), 1) for b in (tiny_bundle, indexed_bundle))
    shared = []
    for row in range(ITEMS):
        query = Query((row,), EVERY, 0, 10)
        [exact], [found] = answers(whole, query), answers(indexed, query)
        shared.append(np.isin(exact.rows, found.rows).mean())
    assert 0.7 < np.mean(shared) < 1
    [everything] = answers(indexed, Query((1, 2), EVERY, 2, ITEMS))
    assert sorted(everything.rows) == list(range(ITEMS))
    assert (np.diff(everything.scores) <= 0).all()
    own_ranks = everything.ranks[-1]
    assert own_ranks[:12].tolist() == list(range(1, 13))
    assert (own_ranks <= np.arange(1, ITEMS + 1)).all()  # of equals all have the rank of the first


def test_a_replay_knows_the_scores_of_what_it_looks_at(
    tiny_bundle: Path, indexed_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though neither state nor evidence leads there, as when an item of the history is left out."""
    monkeypatch.setattr(scoring, "IN_DEMAND", 2)
    whole, indexed = (OnnxReasoner(open_bundle(b), 1) for b in (tiny_bundle, indexed_bundle))
    rows = [*range(0, ITEMS, 3)]
    [exact] = whole.replay([[1, 2], [2]], EVERY, 0)
    [other] = indexed.replay([[1, 2], [2]], EVERY, 0)
    [found] = indexed.replay([[1, 2], [2]], EVERY, 0, looked_at=rows)
    np.testing.assert_allclose(found.scores[:, rows], exact.scores[:, rows], atol=1e-4)
    assert not np.allclose(other.scores[:, rows], exact.scores[:, rows], atol=1e-4)


def answers(reasoner: OnnxReasoner, *queries: Query) -> list[Answer]:
    found = dict(reasoner.answer(queries))
    return [found[place] for place in range(len(queries))]


def test_a_batch_answers_each_as_if_alone(reasoner: OnnxReasoner) -> None:
    queries = [
        Query((3,), EVERY, 4, 10),
        Query((5, 6, 7), EVERY, 0, 5),
        Query(tuple(range(30)), EVERY, 2, 10),
        Query((8, 8, 9), np.arange(ITEMS) % 2 == 0, 2, 10),
    ]
    for query, batched in zip(queries, answers(reasoner, *queries), strict=True):
        [alone] = answers(reasoner, query)
        assert batched.thoughts.steps_taken == query.steps
        np.testing.assert_array_equal(batched.rows, alone.rows)
        np.testing.assert_allclose(batched.scores, alone.scores, atol=1e-4)


def test_the_quick_are_answered_before_the_thorough(reasoner: OnnxReasoner) -> None:
    queries = [Query((1,), EVERY, 4, 3), Query((1,), EVERY, 0, 3), Query((1,), EVERY, 2, 3)]
    assert [place for place, _ in reasoner.answer(queries)] == [1, 2, 0]


def test_thinking_changes_the_answer(reasoner: OnnxReasoner) -> None:
    fast, deep = answers(reasoner, Query((1, 2), EVERY, 0, 10), Query((1, 2), EVERY, 4, 10))
    assert fast.rows.tolist() != deep.rows.tolist()


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("wanted", [[], [7], [1, 2, 30], list(range(0, ITEMS, 2))])
def test_only_allowed_items_are_recommended(
    reasoner: OnnxReasoner, steps: int, wanted: list[int]
) -> None:
    allowed = np.zeros(ITEMS, dtype=bool)
    allowed[wanted] = True
    [answer] = answers(reasoner, Query((1, 2), allowed, steps, 20))
    assert set(answer.rows) <= set(wanted)
    assert len(answer.rows) == min(20, len(wanted))
    assert all(set(top) <= set(wanted) for top in answer.thoughts.top)


def test_a_deadline_stops_the_thinking_with_a_complete_answer(reasoner: OnnxReasoner) -> None:
    hurried = Query((1, 2), EVERY, 4, 10, deadline=time.monotonic())
    patient = Query((1, 2), EVERY, 4, 10, deadline=time.monotonic() + 60)
    first, second = answers(reasoner, hurried, patient)
    assert (first.thoughts.steps_taken, second.thoughts.steps_taken) == (0, 4)
    assert len(first.rows) == 10


def test_the_trace_is_that_of_the_answer(reasoner: OnnxReasoner) -> None:
    history = tuple(range(20))
    [answer] = answers(reasoner, Query(history, EVERY, 4, 10))
    assert (np.diff(answer.scores) <= 0).all()
    assert answer.ranks.shape == (5, 10)
    assert answer.ranks[-1].tolist() == list(range(1, 11))
    steps = reasoner.steps(history, answer.thoughts)
    assert steps[-1].top == answer.rows.tolist()
    assert steps[-1].distance == 0
    assert steps[0].written is None
    for step in steps[1:]:
        assert step.written is not None
        token, probability = step.written
        chances = [probability, *(chance for _, chance in step.runners_up)]
        assert chances == sorted(chances, reverse=True)
        assert 0 < sum(chances) <= 1.001
        assert token not in [other for other, _ in step.runners_up]
    for step in steps:
        assert {row for row, _ in step.attended} <= set(history[-10:])
        assert 0 < sum(share for _, share in step.attended) <= 1.001


def test_a_very_long_history(reasoner: OnnxReasoner) -> None:
    [answer] = answers(reasoner, Query(tuple(np.arange(10_000) % ITEMS), EVERY, 2, 5))
    assert len(answer.rows) == 5


def test_a_torn_graph_is_named(tiny_bundle: Path, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(tiny_bundle, broken)
    graph = broken / "graphs" / "think.onnx"
    bundle = open_bundle(broken)
    graph.write_bytes(graph.read_bytes()[:100])
    with pytest.raises(BundleError, match=r"think\.onnx cannot be loaded"):
        GraphRunner(bundle, 1)
