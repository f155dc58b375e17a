"""The loop on the torch runner, against the network called directly."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from model_export.contract import pool, scoring
from model_export.contract.config import DeliberationConfig
from model_export.contract.evidence import NeighbourTable
from model_export.contract.history import PADDING, encode_history
from model_export.contract.reasoning import (
    LoopTables,
    ReasonedStep,
    ReasoningLoop,
    beam_evidence,
)
from model_export.contract.scoring import EXCLUDED, FEATURES, TABLES, Scorer, relative
from model_export.indexing import build_index
from tests.training import tiny
from training.decoding import beam_search
from training.deliberation import Deliberator
from training.graphs import TorchRunner
from training.model import StreamRec
from training.reasoning import reason

HISTORIES = tiny.histories(3, 1, 9, 6)
EVERYTHING = np.ones((len(HISTORIES), tiny.N_ITEMS), dtype=bool)
SHAPE = DeliberationConfig(candidates=6, d_model=16, heads=2, thoughts=3)


@pytest.fixture(scope="module")
def model() -> StreamRec:
    return tiny.network()


@pytest.fixture(scope="module")
def deliberator() -> Deliberator:
    return new_deliberator()


def new_deliberator() -> Deliberator:
    torch.manual_seed(8)
    count = len(FEATURES)
    network = Deliberator(torch.zeros(count), torch.ones(count), 6, SHAPE).eval()
    torch.nn.init.normal_(network.score.weight)
    return network


def tables(model: StreamRec) -> LoopTables:
    index = tiny.index()
    trie = {}
    for level in range(3):
        trie[f"child_codes_{level}"] = index.child_codes[level]
        trie[f"first_child_{level}"] = index.first_child[level]
        trie[f"leaf_range_{level}"] = index.leaf_range[level]
    with torch.no_grad():
        return LoopTables(
            model.item_targets().numpy(), model.item_inputs().numpy(), model.items.text.numpy(),
            trie, index.leaf_items,
        )  # fmt: skip


def loop(
    model: StreamRec,
    deliberator: Deliberator | None = None,
    beams: int = 25,
    **weights: float,
) -> ReasoningLoop:
    items = np.stack([(np.arange(20) + k) % 20 for k in (1, 2)], 1)
    table = NeighbourTable(items, np.tile(np.float32([0.02, 0.01]), (20, 1)))
    named = {
        name.replace("_at_", "@0."): value for name, value in ({"state": 1.0} | weights).items()
    }
    return ReasoningLoop(
        TorchRunner(model, deliberator, beams), tables(model),
        Scorer(dict.fromkeys(TABLES, table), np.arange(20), np.arange(20), named),
        max_history=tiny.MAX_HISTORY, deliberation=SHAPE if deliberator else None,
        max_steps=tiny.STEPS,
    )  # fmt: skip


def steps(
    run: ReasoningLoop, allowed: np.ndarray = EVERYTHING, count: int = 4
) -> list[ReasonedStep]:
    return list(islice(run.run(HISTORIES, allowed), count))


@torch.no_grad()
def test_every_step_is_the_networks_own(model: StreamRec) -> None:
    """States, tokens and attention are those of training's decoder; a ranking reads the mean state."""
    context = model.read(torch.from_numpy(encode_history(HISTORIES, tiny.MAX_HISTORY)))
    trace, tokens = reason(model, context, 3)
    mean = 0
    for number, (step, own) in enumerate(zip(steps(loop(model)), trace, strict=True)):
        assert step.index == number
        scaled = (own.state * model.state_scale.exp()).numpy()
        np.testing.assert_allclose(step.state, scaled, atol=1e-4)
        np.testing.assert_allclose(step.attention, own.attention.numpy(), atol=1e-5)
        np.testing.assert_allclose(step.token_logits, model.token_logits(own.decoded), atol=1e-4)
        if number == 0:
            assert step.written is None
        else:
            assert step.written is not None
            assert step.written.tolist() == tokens[:, number - 1].tolist()
        mean = mean + scaled
        logits = mean / (number + 1) @ model.item_targets().numpy().T
        np.testing.assert_allclose(step.scores, relative(logits), atol=1e-3)


def test_plain_evidence_is_added_at_every_step(model: StreamRec) -> None:
    plain = loop(model, memory_at_8=2.0, popularity=0.5)
    rows = encode_history(HISTORIES, 200)
    for silent, full in zip(steps(loop(model)), steps(plain), strict=True):
        np.testing.assert_allclose(
            full.scores, silent.scores + plain.scorer.plain_mix(rows), atol=1e-4
        )


@pytest.fixture(params=["network alone", "with deliberation", "through an index"])
def any_loop(
    request: pytest.FixtureRequest,
    model: StreamRec,
    deliberator: Deliberator,
    monkeypatch: pytest.MonkeyPatch,
) -> ReasoningLoop:
    if request.param == "through an index":
        monkeypatch.setattr(scoring, "IN_DEMAND", 2)
        run = loop(model, deliberator, memory_at_8=1.0, beam=1.0)
        return through_index(run, reach=4)
    thinks = request.param == "with deliberation"
    return loop(model, deliberator if thinks else None, memory_at_8=1.0, beam=1.0)


def through_index(run: ReasoningLoop, reach: int) -> ReasoningLoop:
    """The same loop, which reads so many items around a state at least."""
    return run.reading(build_index(run.tables.item_vectors, reach, seed=0))


def test_an_index_that_reads_every_cell_changes_nothing(
    model: StreamRec, deliberator: Deliberator
) -> None:
    whole = loop(model, deliberator, memory_at_8=1.0, beam=1.0)
    indexed = through_index(whole, reach=tiny.N_ITEMS)
    for mine, expected in zip(steps(indexed), steps(whole), strict=True):
        np.testing.assert_allclose(mine.scores, expected.scores, atol=1e-4)
        final, wanted = indexed.final_scores(mine), whole.final_scores(expected)
        np.testing.assert_allclose(final, wanted, atol=1e-4)


def test_a_shortlist_is_deliberated_as_if_it_were_the_catalogue(
    model: StreamRec, deliberator: Deliberator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it holds the candidates of exact ranking, it changes the scores of no other item either."""
    monkeypatch.setattr(scoring, "IN_DEMAND", 1)
    whole = loop(model, deliberator, memory_at_8=1.0)
    indexed = through_index(whole, reach=12)
    found = 0
    for mine, expected in zip(steps(indexed), steps(whole), strict=True):
        for request, looked_at in enumerate(mine.ranking.pools):
            first, exact = mine.ranking.candidates[request], expected.ranking.candidates[request]
            if first.tolist() == exact.tolist():
                found += not looked_at.whole
                mine_scores, scores = mine.scores[request], expected.scores[request]
                np.testing.assert_allclose(
                    mine_scores[looked_at.rows], scores[looked_at.rows], atol=1e-4
                )
    assert found


def test_what_is_not_allowed_is_excluded_at_every_step(any_loop: ReasoningLoop) -> None:
    allowed = np.random.default_rng(1).random(EVERYTHING.shape) < 0.4
    allowed[1] = False
    allowed[1, 7] = True
    for step in steps(any_loop, allowed):
        for scores in (step.scores, any_loop.final_scores(step)):
            assert (scores[~allowed] == EXCLUDED).all()
            assert (scores[allowed] > EXCLUDED / 2).all()
            assert np.isfinite(scores).all()
            assert scores.dtype == np.float32


def test_repeats_count_only_where_seen_items_are_allowed(model: StreamRec) -> None:
    plain, repeating = loop(model), loop(model, repeat_at_8=5.0)
    unseen = EVERYTHING.copy()
    for mask, history in zip(unseen, HISTORIES, strict=True):
        mask[list(history)] = False
    for mine, expected in zip(steps(repeating, unseen), steps(plain, unseen), strict=True):
        np.testing.assert_allclose(mine.scores, expected.scores, atol=1e-4)
    for step in steps(repeating):
        for scores, history in zip(step.scores, HISTORIES, strict=True):
            assert scores.argmax() in history


def test_a_history_may_be_any_sequence(any_loop: ReasoningLoop) -> None:
    histories = [(1, 2), [1, 2], np.array([1, 2])]
    first = next(any_loop.run(histories, EVERYTHING[[0, 0, 0]]))
    for scores in first.scores:
        np.testing.assert_allclose(scores, first.scores[0], atol=1e-4)


def test_a_catalogue_of_several_blocks_is_scored_as_one(
    any_loop: ReasoningLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = steps(any_loop)
    monkeypatch.setattr(pool, "_BLOCK", 7)
    for step, expected in zip(steps(any_loop), whole, strict=True):
        np.testing.assert_allclose(step.scores, expected.scores, atol=1e-4)


def test_requests_of_a_batch_do_not_touch(any_loop: ReasoningLoop) -> None:
    together = steps(any_loop)
    for number, history in enumerate(HISTORIES):
        alone = list(islice(any_loop.run([history], EVERYTHING[:1]), 4))
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_allclose(a.scores[number], b.scores[0], atol=1e-3)


def test_the_caller_may_stop_anywhere(any_loop: ReasoningLoop) -> None:
    """A step is what it is whether or not anybody asks for the next one."""
    long = steps(any_loop)
    for count in (1, 2, 3):
        short = steps(any_loop, count=count)
        np.testing.assert_array_equal(short[-1].scores, long[count - 1].scores)
    running = any_loop.run(HISTORIES, EVERYTHING)
    first = next(running)
    kept = first.scores.copy()
    next(running)
    running.close()
    np.testing.assert_array_equal(first.scores, kept)
    np.testing.assert_array_equal(any_loop.final_scores(first), any_loop.final_scores(long[0]))


def test_deliberation_reorders_the_candidates_and_nothing_else(
    model: StreamRec, deliberator: Deliberator
) -> None:
    [before], weighed = steps(loop(model), count=1), steps(loop(model, deliberator))
    np.testing.assert_array_equal(before.scores, weighed[0].scores)
    candidates = np.argsort(-before.scores, axis=1)[:, :6]
    for after in weighed[1:]:
        order = np.argsort(-after.scores, axis=1)
        for request in range(len(HISTORIES)):
            assert set(order[request, :6]) == set(candidates[request])
            rest = [
                row for row in np.argsort(-before.scores[request]) if row not in candidates[request]
            ]
            assert order[request, 6:].tolist() == rest
    assert any(
        np.argsort(-before.scores[0]).tolist() != np.argsort(-after.scores[0]).tolist()
        for after in weighed[1:]
    )


def test_an_untrained_deliberation_changes_no_ranking(model: StreamRec) -> None:
    torch.manual_seed(8)
    count = len(FEATURES)
    idle = Deliberator(torch.zeros(count), torch.ones(count), 6, SHAPE)
    first, *later = steps(loop(model, idle.eval()))
    for step in later:
        np.testing.assert_array_equal(
            np.argsort(-step.scores, axis=1), np.argsort(-first.scores, axis=1)
        )


@torch.no_grad()
def test_the_search_goes_on_from_the_step_that_asks(model: StreamRec) -> None:
    run = loop(model)
    context = model.read(torch.from_numpy(encode_history(HISTORIES, tiny.MAX_HISTORY)))
    trace, _ = reason(model, context, 2)
    everything = torch.ones(len(HISTORIES), tiny.N_ITEMS, dtype=torch.bool)
    third = steps(run)[2]
    rows, log_likelihood = run.search(third)
    leaves, expected = beam_search(model, context, trace[2].cache, tiny.trie(), 25, everything)
    np.testing.assert_allclose(log_likelihood[:, :20], expected[:, :20], atol=1e-4)
    assert rows[:, :20].tolist() == tiny.index().leaf_items[leaves[:, :20]].tolist()
    assert (rows[:, 20:] == -1).all()


def test_the_search_respects_what_is_allowed(model: StreamRec) -> None:
    allowed = np.random.default_rng(1).random(EVERYTHING.shape) < 0.4
    run = loop(model)
    for step in steps(run, allowed):
        rows, _ = run.search(step)
        for found, wanted in zip(rows, allowed, strict=True):
            assert set(found[found >= 0]) == set(np.flatnonzero(wanted))
            assert (found == -1).sum() == 25 - wanted.sum()


def test_beams_count_only_where_the_mix_asks(model: StreamRec) -> None:
    silent, heard = loop(model), loop(model, beam=0.5)
    [step] = steps(silent, count=1)
    assert silent.final_scores(step) is step.scores
    rows, log_likelihood = heard.search(step)
    gain = heard.final_scores(step) - step.scores
    for request in range(len(HISTORIES)):
        for row, log_p in zip(rows[request, :20], log_likelihood[request], strict=False):
            expected = 0.5 * np.log1p(np.exp(log_p) / 0.01)
            assert gain[request, row] == pytest.approx(expected, abs=1e-4)


def test_beam_evidence_ignores_missing_beams() -> None:
    found = beam_evidence(
        np.array([[2, 0, PADDING]]), np.log(np.float32([[0.03, 0.01, 0.9]])), n_items=4
    )
    np.testing.assert_allclose(found, [[np.log(2), 0, np.log(4), 0]], rtol=1e-5)
