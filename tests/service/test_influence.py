"""Leave-one-out, by hand, on a reasoner whose scores are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from service.api.schemas import ItemFilter
from service.influence import MEASURED, measure_influence, measured_rows, without
from service.trace import Answer, ItemTrace, Query, ReplayedStep, StepTrace, Thoughts, Trace

EVERY = np.ones(4, dtype=bool)


class Counting:
    """An item's score is how often row 2 stands in the history; the others' are 0."""

    def answer(self, queries: Sequence[Query]) -> Iterator[tuple[int, Answer]]:
        raise NotImplementedError

    def steps(self, history: Sequence[int], thoughts: Thoughts) -> list[StepTrace]:
        raise NotImplementedError

    def replay(
        self,
        histories: Sequence[Sequence[int]],
        allowed: NDArray[np.bool_],
        steps: int,
        *_: object,
    ) -> Iterator[ReplayedStep]:
        counts = np.array([list(history).count(2) for history in histories], dtype=np.float32)
        for step in range(steps + 1):
            scores = np.zeros((len(histories), 4), np.float32)
            scores[:, 3] = counts * step
            codes = np.zeros((len(histories), 2), np.float32)
            codes[:, 1] = counts
            yield ReplayedStep(np.where(allowed, scores, -1e9), codes)


def trace(history: list[int], recommended: list[int]) -> Trace:
    def step(written: tuple[int, float] | None) -> StepTrace:
        return StepTrace(
            written=written, runners_up=[], nearest=[], top=[3], attended=[], distance=0
        )

    return Trace(
        model_version="v",
        created_at=datetime.now(UTC),
        degraded=False,
        history=history,
        filter=ItemFilter.model_validate({}),
        exclude_seen=False,
        steps=[step(None), step((1, 0.5))],
        items=[ItemTrace(row=row, score=0, ranks=[1, 1], reasons=[]) for row in recommended],
    )


def test_an_items_influence_is_the_fall_of_the_log_chance_without_it() -> None:
    found = measure_influence(Counting(), trace([2, 1, 2], [3, 0]), EVERY)
    assert found is not None
    assert found.rows == [2, 1]
    log_of_sum = np.log(np.exp(2) + 3)
    on_third, on_zeroth = 2 - log_of_sum + np.log(4), -log_of_sum + np.log(4)
    np.testing.assert_allclose(found.on_items, [[on_third, 0], [on_zeroth, 0]], atol=1e-6)
    np.testing.assert_allclose(found.on_answer, [(on_third + on_zeroth) / 2, 0], atol=1e-6)
    np.testing.assert_allclose(found.on_rankings, [[0, 0], [on_third, 0]], atol=1e-6)
    on_code = 2 - np.log(np.exp(2) + 1) + np.log(2)
    np.testing.assert_allclose(found.on_codes, [[0, 0], [on_code, 0]], atol=1e-6)
    assert found.ranks.tolist() == [[1, 1], [1, 2]]


def test_what_cannot_be_recommended_does_not_compete() -> None:
    allowed = np.array([True, False, False, True])
    found = measure_influence(Counting(), trace([2, 1], [3]), allowed)
    assert found is not None
    on_item = 1 - np.log(np.e + 1) + np.log(2)
    np.testing.assert_allclose(found.on_items, [[on_item, 0]], atol=1e-6)


@pytest.mark.parametrize(("history", "recommended"), [([2, 2], [3]), ([2, 1], [])])
def test_without_anything_to_compare_there_is_no_influence(
    history: list[int], recommended: list[int]
) -> None:
    assert measure_influence(Counting(), trace(history, recommended), EVERY) is None


def test_only_the_newest_items_of_a_long_history_are_measured() -> None:
    assert measured_rows([9, 8, *[7] * (MEASURED - 1)]) == [8, 7]
    assert without([1, 2, 1, 3], [1]) == [2, 3]
