"""Does what is said to matter matter? Leave it out, leave others out, and compare the answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from service.api.schemas import ItemFilter
from service.explain import mattering
from service.influence import measure_influence, measured_rows, without
from service.model import LoadedModel
from service.reasoning import OnnxReasoner
from service.trace import Answer, ItemTrace, Query, Trace

COUNT = 10
FEWEST = 6
"""Distinct items of a history that is long enough to choose from."""


@dataclass(frozen=True)
class Faithfulness:
    """Share of the ten recommended items that other items replace, as a mean over histories.

    Attributes:
        histories: how many were asked.
        named: once the items are left out that the explanation names.
        attended: once as many are left out that the network looked at most.
        random: once as many others are left out, drawn at random.
    """

    histories: int
    named: float
    attended: float
    random: float


def measure(
    model: LoadedModel, reasoner: OnnxReasoner, histories: Iterable[Sequence[str]], users: int
) -> Faithfulness:
    """Asks the model as a request does, for the first `users` histories that are long enough."""
    random = np.random.default_rng(0)
    steps = model.bundle.manifest.inference.efforts.deep
    filter_ = ItemFilter.model_validate({})
    changes = []
    for item_ids in histories:
        history = model.items.catalog.split_known(item_ids)[0]
        candidates = measured_rows(history)
        if len(candidates) < FEWEST:
            continue
        allowed = model.items.filters.allowed(filter_, history)

        def ask(rows: Sequence[int]) -> Answer:
            [(_, answer)] = reasoner.answer([Query(tuple(rows), allowed, steps, COUNT)])  # noqa: B023
            return answer

        full = ask(history)
        influence = measure_influence(reasoner, _trace(model, reasoner, history, full), allowed)
        assert influence is not None
        named = mattering(influence.rows, influence.on_answer)
        if not named:
            continue
        shares = dict.fromkeys(candidates, 0.0)
        for step in reasoner.steps(history, full.thoughts):
            for row, share in step.attended:
                shares[row] = shares.get(row, 0.0) + share
        attended = sorted(shares, key=lambda row: -shares[row])[: len(named)]
        others = [row for row in candidates if row not in named]
        drawn = random.choice(others, len(named), replace=False).tolist()
        changes.append(
            [
                1 - len(set(full.rows) & set(ask(without(history, left_out)).rows)) / COUNT
                for left_out in (named, attended, drawn)
            ]
        )
        if len(changes) == users:
            break
    return Faithfulness(len(changes), *np.mean(changes, axis=0).round(3).tolist())


def _trace(model: LoadedModel, reasoner: OnnxReasoner, history: list[int], answer: Answer) -> Trace:
    return Trace(
        model_version=model.version,
        created_at=datetime.now(UTC),
        degraded=False,
        history=history,
        filter=ItemFilter.model_validate({}),
        exclude_seen=True,
        steps=reasoner.steps(history, answer.thoughts),
        items=[
            ItemTrace(row=int(row), score=float(score), ranks=[], reasons=[])
            for row, score in zip(answer.rows, answer.scores, strict=True)
        ],
    )
