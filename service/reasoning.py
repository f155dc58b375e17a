"""The reasoning loop over ONNX Runtime for a batch of queries, the facts it leaves, and what they mean."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from model_export.contract.bundle import Bundle
from model_export.contract.ranking import Ranking
from model_export.contract.reasoning import (
    LoopTables,
    ReasonedStep,
    ReasoningLoop,
    Runner,
    scorer_of,
)
from model_export.contract.scoring import best_rows
from service.runner import GraphRunner
from service.trace import Answer, Query, ReplayedStep, ScoredItems, StepTrace, Thoughts

_LIKELY = 4
"""Tokens that are kept of a distribution; the first of them is written."""
_NEAREST = 5
_TOP = 10
_ATTENDED = 5

Floats = NDArray[np.float32]


class OnnxReasoner:
    """Answers queries with the graphs of a bundle.

    Args:
        bundle: verified.
        threads: threads inside an operator, of ONNX Runtime and of numpy in this process.
        runner: runs the graphs; ONNX Runtime if not given.

    Raises:
        BundleError: a graph or table is missing.
    """

    def __init__(self, bundle: Bundle, threads: int, runner: Runner | None = None) -> None:
        self._manifest = bundle.manifest
        # For products this small, handing work to other threads costs more than it saves.
        threadpool_limits(threads, user_api="blas")
        self._runner = runner or GraphRunner(bundle, threads)
        self._items = ScoredItems(LoopTables.of(bundle), scorer_of(bundle))

    def answer(self, queries: Sequence[Query]) -> Iterator[tuple[int, Answer]]:
        """Each query's place and answer, as soon as it has thought enough or its deadline nears."""
        places: dict[ScoredItems, list[int]] = defaultdict(list)
        for place, query in enumerate(queries):
            places[query.items or self._items].append(place)
        for items, own in places.items():
            for place, answer in self._answer(items, [queries[place] for place in own]):
                yield own[place], answer

    def _answer(self, items: ScoredItems, queries: Sequence[Query]) -> Iterator[tuple[int, Answer]]:
        """The same for queries over the same items."""
        loop = self._loop(items)
        allowed = [query.allowed for query in queries]
        thinking = dict(enumerate(queries))
        steps: list[_Step] = []
        slowest, before = 0.0, time.monotonic()
        histories = [query.history for query in queries]
        counts = [query.counts for query in queries]
        for step in loop.run(histories, allowed, counts):
            steps.append(_Step(step))
            now = time.monotonic()
            slowest, before = max(slowest, now - before), now
            ended = [
                place
                for place, query in thinking.items()
                if step.index >= query.steps
                or (query.deadline is not None and now + slowest > query.deadline)
            ]
            if ended:
                final = loop.final_ranking(step)
            for place in ended:
                yield place, _answer(thinking.pop(place), place, steps, final)
            if not thinking:
                return

    def replay(
        self,
        histories: Sequence[Sequence[int]],
        allowed: NDArray[np.bool_],
        steps: int,
        counts: Sequence[Sequence[float]] | None = None,
        items: ScoredItems | None = None,
        looked_at: Sequence[int] = (),
    ) -> Iterator[ReplayedStep]:
        """Steps 0 to `steps` for several histories under one mask `allowed` (N,)."""
        loop = self._loop(items or self._items)
        for step in loop.run(histories, [allowed] * len(histories), counts, looked_at):
            ended = step.index == steps
            scores = loop.final_scores(step) if ended else step.scores
            yield ReplayedStep(scores, step.token_logits)
            if ended:
                return

    def steps(
        self, history: Sequence[int], thoughts: Thoughts, items: ScoredItems | None = None
    ) -> list[StepTrace]:
        """What the thoughts of an answer to `history` (catalogue rows, oldest first) mean."""
        count = len(thoughts.top)
        if not count:
            return []
        states = np.frombuffer(thoughts.states, np.float32).reshape(count, -1)
        states = states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-9)
        likeness = states @ (items or self._items).tables.item_vectors.T
        distances = np.clip(1 - states @ states[-1], 0, 2)
        attention = np.frombuffer(thoughts.attention, np.float32).reshape(count, -1)
        written: list[list[tuple[int, float]]] = [
            [],
            *(
                list(zip(*choices, strict=True))
                for choices in zip(thoughts.written, thoughts.chances, strict=True)
            ),
        ]
        return [
            StepTrace(
                written=written[i][0] if i else None,
                runners_up=written[i][1:],
                nearest=best_rows(likeness[i], _NEAREST).tolist(),
                top=thoughts.top[i],
                attended=_attended(history, attention[i]),
                distance=round(float(distances[i]), 4),
            )
            for i in range(count)
        ]

    def _loop(self, items: ScoredItems) -> ReasoningLoop:
        return ReasoningLoop(
            self._runner,
            items.tables,
            items.scorer,
            max_history=self._manifest.model.max_history,
            max_steps=self._manifest.model.max_steps,
            deliberation=self._manifest.deliberation,
        )


class _Step:
    """A step of a batch, with what all of its answers need of it worked out once."""

    def __init__(self, step: ReasonedStep) -> None:
        self.step = step

    @cached_property
    def likely(self) -> tuple[list[list[int]], list[list[float]]]:
        """The likeliest tokens of the next step for each request, likeliest first, and their chances."""
        logits = self.step.token_logits
        chances = np.exp(logits - logits.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        tokens = np.stack([best_rows(line, _LIKELY) for line in logits])
        return tokens.tolist(), np.take_along_axis(chances, tokens, 1).round(4).tolist()


def _answer(query: Query, place: int, steps: Sequence[_Step], final: Ranking) -> Answer:
    """The answer to the query at `place` of the batch, ranked by `final`."""
    rows, scores = final.best(place, query.count)
    rankings = [*(step.step.ranking for step in steps[:-1]), final]
    thoughts = Thoughts.model_construct(
        written=[before.likely[0][place] for before in steps[:-1]],
        chances=[before.likely[1][place] for before in steps[:-1]],
        top=[ranking.best(place, _TOP)[0].tolist() for ranking in rankings],
        states=np.stack([step.step.state[place] for step in steps]).tobytes(),
        attention=np.stack([step.step.attention[place] for step in steps]).tobytes(),
    )
    ranks = np.stack([ranking.ranks(place, rows) for ranking in rankings])
    return Answer(rows, scores, ranks, thoughts)


def _attended(history: Sequence[int], attention: Floats) -> list[tuple[int, float]]:
    """History items by their share of the attention (H,), which is right-aligned."""
    read = history[-len(attention) :]
    shares: dict[int, float] = {}
    for row, share in zip(read, attention[-len(read) :].tolist(), strict=True):
        shares[row] = shares.get(row, 0.0) + share
    most = sorted(shares.items(), key=lambda entry: -entry[1])[:_ATTENDED]
    return [(row, round(min(share, 1.0), 4)) for row, share in most]
