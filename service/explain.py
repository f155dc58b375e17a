"""From a trace, and the influence measured on it, to an explanation in plain words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model_export.contract.catalog import Catalog
from model_export.contract.semantic_ids import CodeVocabulary
from service import words
from service.api.explanation import (
    AttendedItem,
    ExplainedItem,
    Explanation,
    HistoryItem,
    ItemInfluence,
    MovedItem,
    NamedItem,
    Reason,
    ReasoningStep,
    ReasonKind,
    StepInfluence,
    WrittenCode,
)
from service.influence import Influence
from service.trace import ItemTrace, StepTrace, Trace

_NAMED = 2
"""History items that one sentence names at most."""
_MATTERS = 0.05
"""Influence from which on an item is named; about 5 % more likely with it than without."""
_BESIDE = 1 / 3
"""Share of the strongest influence from which on a second item is named beside the first."""


class Explainer:
    """Puts a trace into words.

    Args:
        catalog: names of items.
        vocabulary: what each token stands for.
        labels: per level, the label of each code.
    """

    def __init__(
        self, catalog: Catalog, vocabulary: CodeVocabulary, labels: Sequence[Sequence[str]]
    ) -> None:
        self._catalog = catalog
        self._vocabulary = vocabulary
        self._labels = labels

    def explanation(
        self, recommendation_id: str, trace: Trace, influence: Influence | None
    ) -> Explanation:
        """The explanation of a recommendation made by this model."""
        measured: dict[int, float] = {}
        named: list[int] = []
        if influence:
            pairs = zip(influence.rows, influence.on_answer, strict=True)
            measured = {row: _rounded(value) for row, value in pairs}
            named = mattering(influence.rows, influence.on_answer)
        distinct = len(set(trace.history))
        return Explanation(
            recommendation_id=recommendation_id,
            model_version=trace.model_version,
            created_at=trace.created_at,
            reasoning_steps=max(0, len(trace.steps) - 1),
            degraded=trace.degraded,
            summary=words.of_answer(
                len(trace.steps), len(trace.items), distinct, self._titles(named)
            ),
            history=[
                HistoryItem(**dict(self._named(row)), influence=measured.get(row))
                for row in trace.history
            ],
            steps=[self._step(number, trace, influence) for number in range(len(trace.steps))],
            items=[self._item(number, trace, influence) for number in range(len(trace.items))],
        )

    def naming(self, catalog: Catalog) -> Explainer:
        """The same, with the names of another catalogue."""
        return Explainer(catalog, self._vocabulary, self._labels)

    def reason(self, kind: ReasonKind, rows: Sequence[int]) -> Reason:
        """A reason as a sentence."""
        items = [self._catalog[row] for row in rows]
        text = words.of_reason(kind, [item.label for item in items])
        return {"kind": kind, "text": text, "item_ids": [item.item_id for item in items]}

    def _step(self, number: int, trace: Trace, influence: Influence | None) -> ReasoningStep:
        step = trace.steps[number]
        before = trace.steps[number - 1].top if number else []
        earlier = {row: rank for rank, row in enumerate(before, start=1)}
        return ReasoningStep(
            step=number,
            summary=self._step_in_words(number, step, earlier, influence),
            written=None if step.written is None else self._code(*step.written),
            runners_up=[self._code(*choice) for choice in step.runners_up],
            nearest_items=[self._named(row) for row in step.nearest],
            top_items=[
                MovedItem(**dict(self._named(row)), rank=rank, previous_rank=earlier.get(row))
                for rank, row in enumerate(step.top, start=1)
            ],
            influences=[
                StepInfluence(
                    **dict(self._named(row)),
                    on_ranking=_rounded(influence.on_rankings[number, place]),
                    on_code=_rounded(influence.on_codes[number, place]) if number else None,
                )
                for place, row in enumerate(influence.rows)
            ]
            if influence
            else [],
            attended=[
                AttendedItem(**dict(self._named(row)), share=share) for row, share in step.attended
            ],
            distance_to_final=step.distance,
        )

    def _step_in_words(
        self, number: int, step: StepTrace, earlier: dict[int, int], influence: Influence | None
    ) -> str:
        if not step.top:
            return "No item may be recommended under these conditions."
        decided: list[int] = []
        if influence:
            values = influence.on_codes if number else influence.on_rankings
            decided = mattering(influence.rows, values[number])
        code = None
        if step.written is not None:
            written = self._code(*step.written)
            code = (written.label, written.probability)
        leader = step.top[0]
        rank = earlier.get(leader)
        return words.of_step(
            number,
            code,
            self._titles(decided),
            self._catalog[leader].label,
            rank if rank and rank > 1 else None,
        )

    def _item(self, number: int, trace: Trace, influence: Influence | None) -> ExplainedItem:
        item = trace.items[number]
        reasons = item.reasons
        fall = None
        if influence:
            named = mattering(influence.rows, influence.on_items[number])
            if named:
                reasons = [("rests_on", named), *reasons]
                rank = influence.ranks[number, influence.rows.index(named[0])]
                fall = (self._catalog[named[0]].label, int(rank))
        return ExplainedItem(
            **dict(self._named(item.row)),
            rank=number + 1,
            score=item.score,
            ranks_by_step=item.ranks,
            summary=words.of_item(item.ranks, self._turn(item, trace.steps), fall)
            if trace.steps
            else "Popular with everyone.",
            influences=[
                ItemInfluence(
                    **dict(self._named(row)),
                    influence=_rounded(influence.on_items[number, place]),
                    rank_without=int(influence.ranks[number, place]),
                )
                for place, row in enumerate(influence.rows)
            ]
            if influence
            else [],
            reasons=[self.reason(kind, rows) for kind, rows in reasons],
        )

    def _turn(self, item: ItemTrace, steps: Sequence[StepTrace]) -> tuple[int, str] | None:
        """The step in which an item that rose did so most, and the label written in it."""
        if len(item.ranks) < 3 or item.ranks[-1] >= item.ranks[0]:
            return None
        number = int(np.argmin(np.diff(item.ranks))) + 1
        written = steps[number].written
        return written and (number, self._code(*written).label)

    def _code(self, token: int, probability: float) -> WrittenCode:
        level, code = self._vocabulary.level_and_code(token)
        label = self._labels[level][code]
        return WrittenCode(level=level, code=code, label=label, probability=probability)

    def _named(self, row: int) -> NamedItem:
        item = self._catalog[row]
        return NamedItem(item_id=item.item_id, title=item.label)

    def _titles(self, rows: Sequence[int]) -> list[str]:
        return [self._catalog[row].label for row in rows]


def mattering(rows: Sequence[int], influence: NDArray[np.float32]) -> list[int]:
    """The rows that a sentence may name: those of strong influence, strongest first; may be none."""
    strongest = np.argsort(-influence, kind="stable")[:_NAMED]
    least = max(_MATTERS, _BESIDE * float(influence.max(initial=0)))
    return [rows[place] for place in strongest if influence[place] >= least]


def _rounded(value: float | np.float32) -> float:
    return round(float(value), 4)
