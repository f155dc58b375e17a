"""One request from its body to its answer: history, mask, model or fallback, reasons, record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
from pydantic import ValidationError

from model_export.contract.reasoning import EVIDENCE_HISTORY
from service.api.explanation import Explanation
from service.api.schemas import (
    ItemProperties,
    Recommendation,
    RecommendRequest,
)
from service.diversity import diversify
from service.errors import NotFoundError, StoreError
from service.event_weights import EventWeights
from service.metrics import Metrics
from service.model import LoadedModel
from service.stores.histories import Interaction
from service.stores.recommendations import Served
from service.trace import Answer, ItemTrace, Query, Record, Thoughts

_OUTLIVING: set[asyncio.Task[bool]] = set()
"""Records on their way although the answer is given; the event loop alone would forget them."""
_DIVERSITY_POOL = 5
"""Items that a diverse answer chooses from, for each item wanted."""


class Histories(Protocol):
    """Where stored histories are; see `HistoryStore`."""

    async def read(self, user_id: str) -> list[Interaction]:
        """The stored history, oldest first."""
        ...


class Records(Protocol):
    """Where answers are recorded; see `RecommendationStore`."""

    async def put(
        self, recommendation_id: str, record: bytes, served: Served, user_id: str | None
    ) -> None:
        """Keep a record."""
        ...

    async def get(self, recommendation_id: str) -> bytes | None:
        """The record, if there is one."""
        ...


class Recommender:
    """Answers requests with one model and the stores.

    Args:
        model: the model in use.
        histories: stored histories.
        recommendations: where answers are recorded so that they can be explained.
        metrics: what is counted and timed.
        weights: how much each type of event counts.
    """

    def __init__(
        self,
        model: LoadedModel,
        histories: Histories,
        recommendations: Records,
        metrics: Metrics,
        weights: EventWeights,
    ) -> None:
        self._model = model
        self._items = model.items
        self._histories = histories
        self._recommendations = recommendations
        self._metrics = metrics
        self._weights = weights

    async def recommend(self, request: RecommendRequest) -> Recommendation:
        """The answer to `request`; without Redis it uses what the request brings along.

        Raises:
            OverloadedError: too many requests wait for the model.
        """
        started = time.monotonic()
        deadline = request.deadline_ms and started + request.deadline_ms / 1000
        weighted, degraded = await self._history(request, deadline)
        catalog = self._items.catalog
        history, unknown = catalog.split_known(item_id for item_id, _ in weighted)
        counts = [weight for item_id, weight in weighted if catalog.row(item_id) is not None]
        if all(count == 1 for count in counts):
            counts = []
        answer = await self._answer(request, history, counts, deadline)
        self._metrics.steps.observe(answer.thoughts.steps_taken)
        record = self._recorded(request, history, counts, answer, degraded)

        recommendation_id = uuid4().hex
        degraded |= not await _within(deadline, self._keep(recommendation_id, record, request))
        took = time.monotonic() - started
        explainer, filters = self._items.explainer, self._items.filters
        return {
            "recommendation_id": recommendation_id,
            "items": [
                {
                    "item_id": catalog[item.row].item_id,
                    "rank": place,
                    "score": item.score,
                    "reasons": [explainer.reason(kind, rows) for kind, rows in item.reasons],
                    "properties": ItemProperties.of(catalog[item.row])
                    if request.include_properties
                    else None,
                }
                for place, item in enumerate(record.items, start=1)
            ],
            "model_version": self._model.version,
            "reasoning_steps": answer.thoughts.steps_taken,
            "degraded": degraded,
            "unknown_items": list(dict.fromkeys(unknown + filters.unknown_items(request.filter))),
            "unknown_categories": filters.unknown_categories(request.filter.categories),
            "took_ms": round(took * 1000, 3),
            "explanation": await self._explained(recommendation_id, record)
            if request.explain
            else None,
        }

    async def explanation(self, recommendation_id: str) -> Explanation:
        """How an earlier answer came about.

        Raises:
            NotFoundError: there was none, it has expired, or another model version made it.
            StoreError: Redis does not answer.
        """
        stored = await self._recommendations.get(recommendation_id)
        if stored is None:
            raise NotFoundError("no such recommendation is recorded; records expire after a while")
        try:
            record = Record.model_validate_json(stored)
        except ValidationError as error:
            raise NotFoundError("the recommendation was recorded in another format") from error
        if record.model_version != self._model.version:
            raise NotFoundError(
                f"the recommendation was made by model {record.model_version}, "
                f"and {self._model.version} is in use"
            )
        return await self._explained(recommendation_id, self._items.placed(record))

    async def _explained(self, recommendation_id: str, record: Record) -> Explanation:
        with self._metrics.stages.labels("influence").time():
            trace, influence = await self._model.readings.submit((record, self._items))
        return self._items.explainer.explanation(recommendation_id, trace, influence)

    async def _history(
        self, request: RecommendRequest, deadline: float | None
    ) -> tuple[list[tuple[str, float]], bool]:
        """Item ids with their weights, oldest first, and whether they could not be read."""
        if request.inline_history is not None:
            pairs = [(entry.item_id, entry.event_type) for entry in request.inline_history]
        elif request.user_id is None:
            pairs = []
        else:
            try:
                with self._metrics.stages.labels("history").time():
                    async with asyncio.timeout(_left(deadline)):
                        stored = await self._histories.read(request.user_id)
            except (StoreError, TimeoutError):
                return [], True
            pairs = [(interaction.item_id, interaction.event_type) for interaction in stored]
        weighted = [(item_id, self._weights.of(event_type)) for item_id, event_type in pairs]
        return [(item_id, weight) for item_id, weight in weighted if weight], False

    async def _answer(
        self,
        request: RecommendRequest,
        history: list[int],
        counts: list[float],
        deadline: float | None,
    ) -> Answer:
        items = self._items
        allowed = items.filters.allowed(request.filter, history if request.exclude_seen else ())
        pool = request.count * (_DIVERSITY_POOL if request.diversity > 0 else 1)
        if not history:
            self._metrics.fallbacks.labels("no_history").inc()
            answer = self._popular(allowed, pool)
        else:
            steps = self._steps(request)
            query = Query(
                tuple(history), allowed, steps, pool, deadline, tuple(counts), items.scored
            )
            with self._metrics.stages.labels("model").time():
                answer = await self._model.batcher.submit(query)
        if request.diversity == 0:
            return answer
        vectors = items.vectors[answer.rows]
        return answer.take(diversify(answer.scores, vectors, request.count, request.diversity))

    def _steps(self, request: RecommendRequest) -> int:
        manifest = self._model.bundle.manifest
        if request.reasoning_steps is not None:
            return min(request.reasoning_steps, manifest.model.max_steps)
        return manifest.inference.efforts.steps(request.effort)

    def _popular(self, allowed: np.ndarray, count: int) -> Answer:
        popular = self._items.popular
        rows = popular[allowed[popular]][:count]
        ranks = np.arange(1, len(rows) + 1, dtype=np.int64)[None]
        return Answer(rows, (1 / ranks[0]).astype(np.float32), ranks, Thoughts())

    def _recorded(
        self,
        request: RecommendRequest,
        history: list[int],
        counts: list[float],
        answer: Answer,
        degraded: bool,
    ) -> Record:
        longest = max(EVIDENCE_HISTORY, self._model.bundle.manifest.model.max_history)
        read = history[-longest:]
        if history:
            reasons = self._items.reasons.find(read, answer.rows, answer.ranks)
        else:
            reasons = [[("popular", [])] for _ in answer.rows]
        return Record.model_construct(
            model_version=self._model.version,
            created_at=datetime.now(UTC),
            degraded=degraded,
            history=read,
            counts=counts[-longest:],
            filter=request.filter,
            exclude_seen=request.exclude_seen,
            thoughts=answer.thoughts,
            items=[
                ItemTrace(row, round(score, 5), path, why)
                for row, score, path, why in zip(
                    answer.rows.tolist(),
                    answer.scores.tolist(),
                    answer.ranks.T.tolist(),
                    reasons,
                    strict=True,
                )
            ],
        )

    async def _keep(
        self, recommendation_id: str, record: Record, request: RecommendRequest
    ) -> bool:
        """Whether the answer can be explained, and its clicks counted, later."""
        if record.degraded:
            return False
        catalog = self._items.catalog
        served = Served(
            record.model_version,
            _effort(request, record),
            [catalog[item.row].item_id for item in record.items],
        )
        record.added = self._items.added(record, self._model.bundle.catalog)
        try:
            with self._metrics.stages.labels("record").time():
                stored = record.model_dump_json().encode()
                await self._recommendations.put(recommendation_id, stored, served, request.user_id)
        except StoreError:
            return False
        self._metrics.recommendations.labels(served.model_version, served.effort).inc()
        return True


def _left(deadline: float | None) -> float | None:
    """Seconds until a `time.monotonic()`, or None where there is none."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


async def _within(deadline: float | None, keeping: Coroutine[Any, Any, bool]) -> bool:
    """What `keeping` returns; True where it is still on its way at the deadline, which it outlives."""
    if deadline is None:
        return await keeping
    task = asyncio.create_task(keeping)
    _OUTLIVING.add(task)
    task.add_done_callback(_OUTLIVING.discard)
    done, _ = await asyncio.wait({task}, timeout=_left(deadline))
    return task.result() if done else True


def _effort(request: RecommendRequest, record: Record) -> str:
    """What the answer is reported under: an effort, `steps` where a number was asked for, or `popular`."""
    if not record.thoughts.top:
        return "popular"
    return request.effort if request.reasoning_steps is None else "steps"
