"""The reasoning loop over ONNX Runtime for a batch of queries, and the trace it leaves."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from model_export.contract.bundle import Bundle
from model_export.contract.reasoning import LoopTables, ReasonedStep, ReasoningLoop, scorer_of
from service.runner import GraphRunner
from service.trace import Answer, Query, ReplayedStep, StepTrace

_RUNNERS_UP = 3
_NEAREST = 5
_TOP = 10
_ATTENDED = 5

Floats = NDArray[np.float32]


class OnnxReasoner:
    """Answers queries with the graphs of a bundle.

    Args:
        bundle: verified.
        threads: threads inside an operator, of ONNX Runtime and of numpy in this process.

    Raises:
        BundleError: a graph or table is missing.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        manifest = bundle.manifest
        # For products this small, handing work to other threads costs more than it saves.
        threadpool_limits(threads, user_api="blas")
        self._tables = LoopTables.of(bundle)
        self._loop = ReasoningLoop(
            GraphRunner(bundle, threads),
            self._tables,
            scorer_of(bundle),
            max_history=manifest.model.max_history,
            max_steps=manifest.model.max_steps,
            deliberation=manifest.deliberation,
        )

    def answer(self, queries: Sequence[Query]) -> Iterator[tuple[int, Answer]]:
        """Each query's place and answer, as soon as it has thought enough or its deadline nears."""
        allowed = np.stack([query.allowed for query in queries])
        thinking = dict(enumerate(queries))
        steps: list[ReasonedStep] = []
        slowest, before = 0.0, time.monotonic()
        histories = [query.history for query in queries]
        counts = [query.counts for query in queries]
        for step in self._loop.run(histories, allowed, counts):
            steps.append(step)
            now = time.monotonic()
            slowest, before = max(slowest, now - before), now
            ended = [
                place
                for place, query in thinking.items()
                if step.index >= query.steps
                or (query.deadline is not None and now + slowest > query.deadline)
            ]
            if ended:
                final = self._loop.final_scores(step)
            for place in ended:
                yield place, self._finish(thinking.pop(place), place, steps, final[place])
            if not thinking:
                return

    def replay(
        self,
        histories: Sequence[Sequence[int]],
        allowed: NDArray[np.bool_],
        steps: int,
        counts: Sequence[Sequence[float]] | None = None,
    ) -> Iterator[ReplayedStep]:
        """Steps 0 to `steps` for several histories under one mask `allowed` (N,)."""
        masks = np.tile(allowed, (len(histories), 1))
        for step in self._loop.run(histories, masks, counts):
            ended = step.index == steps
            scores = self._loop.final_scores(step) if ended else step.scores
            yield ReplayedStep(scores, step.token_logits)
            if ended:
                return

    def _finish(
        self, query: Query, place: int, steps: Sequence[ReasonedStep], final: Floats
    ) -> Answer:
        """The answer to the query at `place` of the batch, ranked by its `final` scores (N,)."""
        rows = _best(final, query.allowed, query.count)
        rankings = [*(step.scores[place] for step in steps[:-1]), final]
        ranks = [(scores > scores[rows, None]).sum(1) + 1 for scores in rankings]
        states = np.stack([step.state[place] for step in steps])
        states /= np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-9)
        likeness = states @ self._tables.item_vectors.T
        distances = np.clip(1 - states @ states[-1], 0, 2)
        trace = [
            StepTrace(
                **_written(steps[i - 1], step, place) if i else {"written": None, "runners_up": []},
                nearest=np.argsort(-likeness[i])[:_NEAREST].tolist(),
                top=_best(rankings[i], query.allowed, _TOP).tolist(),
                attended=_attended(query.history, step.attention[place]),
                distance=round(float(distances[i]), 4),
            )
            for i, step in enumerate(steps)
        ]
        return Answer(rows, final[rows], np.stack(ranks), trace)


def _best(scores: Floats, allowed: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """The best `count` allowed rows, best first."""
    count = min(count, int(allowed.sum()))
    if not count:
        return np.empty(0, dtype=np.int64)
    best = np.argpartition(-scores, count - 1)[:count]
    return best[np.argsort(-scores[best], kind="stable")]


def _written(before: ReasonedStep, step: ReasonedStep, place: int) -> dict[str, object]:
    """The token of this step and its rivals, with the probabilities that the step before gave."""
    assert step.written is not None
    logits = before.token_logits[place]
    probability = np.exp(logits - logits.max())
    probability /= probability.sum()
    token = int(step.written[place])
    likely = [int(other) for other in np.argsort(-probability)[: _RUNNERS_UP + 1] if other != token]
    chances = {choice: round(float(probability[choice]), 4) for choice in (token, *likely)}
    return {
        "written": (token, chances[token]),
        "runners_up": [(other, chances[other]) for other in likely[:_RUNNERS_UP]],
    }


def _attended(history: Sequence[int], attention: Floats) -> list[tuple[int, float]]:
    """History items by their share of the attention (H,), which is right-aligned."""
    read = history[-len(attention) :]
    shares: dict[int, float] = {}
    for row, share in zip(read, attention[-len(read) :].tolist(), strict=True):
        shares[row] = shares.get(row, 0.0) + share
    most = sorted(shares.items(), key=lambda entry: -entry[1])[:_ATTENDED]
    return [(row, round(min(share, 1.0), 4)) for row, share in most]
