"""What an event's type does to the history that it enters, with real graphs and a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from model_export.contract.bundle import open_bundle
from model_export.contract.evidence import NeighbourTable, score_candidates
from model_export.contract.history import encode_counts
from service.app import create_app
from service.event_weights import EventWeights
from service.reasoning import OnnxReasoner
from service.settings import Settings
from service.trace import Answer, Query
from tests.service.conftest import running
from tests.service.tiny_bundle import ITEMS

EVERY = np.ones(ITEMS, dtype=bool)


@pytest.fixture(scope="module")
def weighing(tiny_bundle: Path, redis_url: str) -> Iterator[httpx.Client]:
    settings = {
        "bundle": tiny_bundle,
        "redis_url": redis_url,
        "redis_timeout": 5,
        "event_weights": "purchase=3, impression=0",
    }
    with running(create_app(Settings.model_validate(settings))) as client:
        yield client


def send(client: httpx.Client, user: str, *events: tuple[str, str]) -> None:
    body = [
        {"user_id": user, "item_id": item, "event_type": kind, "timestamp": second}
        for second, (item, kind) in enumerate(events)
    ]
    assert client.post("/events", json={"events": body}).json()["accepted"] == len(events)


def scores(client: httpx.Client, **body: object) -> dict[str, float]:
    answer = client.post("/recommend", json={"effort": "fast", "count": 20, **body}).json()
    return {item["item_id"]: item["score"] for item in answer["items"]}


def test_weights_by_type() -> None:
    weights = EventWeights.parse("purchase=3, view=1,impression=0")
    assert [weights.of(kind) for kind in ("purchase", "view", "impression", "other", None)] == [
        3, 1, 0, 1, 1,
    ]  # fmt: skip


def test_an_event_of_weight_0_is_stored_but_no_part_of_the_history(weighing: httpx.Client) -> None:
    send(weighing, "w-1", ("i1", "view"), ("i2", "impression"), ("i3", "view"))
    stored = weighing.get("/users/w-1/history").json()["events"]
    assert [(event["item_id"], event["weight"]) for event in stored] == [
        ("i1", 1.0), ("i2", 0.0), ("i3", 1.0),
    ]  # fmt: skip
    assert scores(weighing, user_id="w-1") == scores(weighing, history=["i1", "i3"])


def test_a_heavier_event_changes_the_answer_as_an_inline_one_does(weighing: httpx.Client) -> None:
    send(weighing, "w-2", ("i1", "purchase"), ("i3", "view"))
    history = [{"item_id": "i1", "event_type": "purchase"}, {"item_id": "i3"}]
    stored = scores(weighing, user_id="w-2")
    assert stored == scores(weighing, history=history)
    assert stored != scores(weighing, history=["i1", "i3"])


def test_an_explanation_replays_the_weights(weighing: httpx.Client) -> None:
    heavy = [{"item_id": "i1", "event_type": "purchase"}, "i3", "i5"]
    plain = ["i1", "i3", "i5"]
    found = []
    for history in (heavy, plain):
        body = {"history": history, "effort": "fast", "count": 5}
        body["filter"] = {"include_items": [f"i{n}" for n in range(10, 20)]}
        told = weighing.post("/explain", json=body).json()
        found.append([item["influence"] for item in told["history"]])
    assert found[0] != found[1]


def answer(reasoner: OnnxReasoner, *queries: Query) -> list[Answer]:
    by_place = dict(reasoner.answer(queries))
    return [by_place[place] for place in range(len(queries))]


def test_weights_of_one_request_leave_the_others_of_its_batch_alone(tiny_bundle: Path) -> None:
    reasoner = OnnxReasoner(open_bundle(tiny_bundle), threads=1)
    plain, heavy = Query((1, 2), EVERY, 4, 10), Query((1, 2), EVERY, 4, 10, counts=(3.0, 1.0))
    [alone], [weighted] = answer(reasoner, plain), answer(reasoner, heavy)
    first, second = answer(reasoner, plain, heavy)
    np.testing.assert_allclose(first.scores, alone.scores, atol=1e-4)
    np.testing.assert_allclose(second.scores, weighted.scores, atol=1e-4)
    assert not np.allclose(first.scores, second.scores)


def test_a_position_that_counts_three_times_gives_three_times_the_evidence() -> None:
    table = NeighbourTable(np.array([[1], [2], [0]]), np.array([[0.5], [0.25], [1.0]], np.float32))
    histories = np.array([[-1, 0, 1]])
    counts = encode_counts([[3.0, 1.0]], 3)
    assert table.score(histories, 0.5, counts).tolist() == [[0, 0.75, 0.25]]
    few = score_candidates([table], histories, (0.5,), np.array([[1, 2]]), counts)
    assert few[..., 0, 0].tolist() == [[0.75, 0.25]]


def test_counts_are_aligned_with_the_newest_positions() -> None:
    assert encode_counts(None, 3) is None
    assert encode_counts([[], ()], 3) is None
    assert encode_counts([[], [9, 2, 3, 4]], 3).tolist() == [[1, 1, 1], [2, 3, 4]]
