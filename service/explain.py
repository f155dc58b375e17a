"""From a trace to an explanation in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from model_export.contract.catalog import Catalog
from model_export.contract.semantic_ids import CodeVocabulary
from service.api.explanation import (
    AttendedItem,
    ExplainedItem,
    Explanation,
    MovedItem,
    NamedItem,
    Reason,
    ReasoningStep,
    ReasonKind,
    WrittenCode,
)
from service.trace import StepTrace, Trace


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

    def explanation(self, recommendation_id: str, trace: Trace) -> Explanation:
        """The explanation of a recommendation made by this model."""
        earlier = [None, *trace.steps]
        return Explanation(
            recommendation_id=recommendation_id,
            model_version=trace.model_version,
            created_at=trace.created_at,
            reasoning_steps=max(0, len(trace.steps) - 1),
            degraded=trace.degraded,
            history=[self._named(row) for row in trace.history],
            steps=[
                self._step(number, before, step)
                for number, (before, step) in enumerate(zip(earlier, trace.steps, strict=False))
            ],
            items=[
                ExplainedItem(
                    **dict(self._named(item.row)),
                    rank=place,
                    score=item.score,
                    ranks_by_step=item.ranks,
                    reasons=[self.reason(kind, rows) for kind, rows in item.reasons],
                )
                for place, item in enumerate(trace.items, start=1)
            ],
        )

    def reason(self, kind: ReasonKind, rows: Sequence[int]) -> Reason:
        """A reason as a sentence."""
        named = " and ".join(f"“{self._catalog[row].label}”" for row in rows)
        text = {
            "follows": f"often follows {named}",
            "similar": f"is like {named}",
            "reasoned": "moved up while reasoning",
            "fits": "fits the history as a whole",
            "popular": "popular with everyone",
        }[kind]
        return Reason(kind=kind, text=text, item_ids=[self._catalog[row].item_id for row in rows])

    def _step(self, number: int, before: StepTrace | None, step: StepTrace) -> ReasoningStep:
        earlier = {row: rank for rank, row in enumerate(before.top, start=1)} if before else {}
        return ReasoningStep(
            step=number,
            written=None if step.written is None else self._code(*step.written),
            runners_up=[self._code(*choice) for choice in step.runners_up],
            nearest_items=[self._named(row) for row in step.nearest],
            top_items=[
                MovedItem(**dict(self._named(row)), rank=rank, previous_rank=earlier.get(row))
                for rank, row in enumerate(step.top, start=1)
            ],
            attended=[
                AttendedItem(**dict(self._named(row)), share=share) for row, share in step.attended
            ],
            distance_to_final=step.distance,
        )

    def _code(self, token: int, probability: float) -> WrittenCode:
        level, code = self._vocabulary.level_and_code(token)
        label = self._labels[level][code]
        return WrittenCode(level=level, code=code, label=label, probability=probability)

    def _named(self, row: int) -> NamedItem:
        item = self._catalog[row]
        return NamedItem(item_id=item.item_id, title=item.label)
