"""What one query asks of the model, what it gets back, and what is kept to explain it.

An answer comes with the bare facts of its reasoning (`Thoughts`), which are recorded with it; what they
mean (`StepTrace`) is worked out when somebody asks. Items are catalogue rows and codes are tokens: a
record is small, and belongs to one model version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from model_export.contract.reasoning import LoopTables
from model_export.contract.scoring import Scorer
from service.api.explanation import ReasonKind
from service.api.schemas import ItemFilter


@dataclass(frozen=True, eq=False)
class ScoredItems:
    """What the model reads of N items.

    Attributes:
        tables: item tables and trie.
        scorer: evidence and the weights of the mix.
    """

    tables: LoopTables
    scorer: Scorer


@dataclass(frozen=True)
class Query:
    """One request to the model.

    Attributes:
        history: catalogue rows, oldest first; at least one.
        allowed: (items,) which items may be recommended.
        steps: reasoning steps wanted.
        count: items wanted.
        deadline: `time.monotonic()` by which the answer should be there, or None.
        counts: how much each item of the history counts as evidence; empty where all count 1.
        items: what the model reads of the items; None where that is what the bundle says.
    """

    history: tuple[int, ...]
    allowed: NDArray[np.bool_]
    steps: int
    count: int
    deadline: float | None = None
    counts: tuple[float, ...] = ()
    items: ScoredItems | None = None


class Thoughts(BaseModel):
    """The facts of steps 0 to S - 1 of one answer; none where no model was asked.

    Attributes:
        written: for each step but the first the token written, then other likely tokens.
        chances: their probabilities.
        top: best items after each step, best first.
        states: (S, d) float32, where each step left the state.
        attention: (S, H) float32, share of each of the newest H history positions.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    written: list[list[int]] = []
    chances: list[list[float]] = []
    top: list[list[int]] = []
    states: bytes = b""
    attention: bytes = b""

    @property
    def steps_taken(self) -> int:
        """Reasoning steps after step 0."""
        return len(self.written)


class StepTrace(BaseModel):
    """One reasoning step, as an explanation shows it.

    Attributes:
        written: the token written and its probability; None at step 0.
        runners_up: other likely tokens with theirs.
        nearest: items nearest to the state.
        top: best items after this step, best first.
        attended: history items and their share of the attention, most first.
        distance: cosine distance between the state and the final state.
    """

    written: tuple[int, float] | None
    runners_up: list[tuple[int, float]]
    nearest: list[int]
    top: list[int]
    attended: list[tuple[int, float]]
    distance: float


@dataclass(frozen=True)
class Answer:
    """The model's answer to one query.

    Attributes:
        rows: (count,) recommended items, best first; fewer where fewer are allowed.
        scores: (count,) their scores, descending.
        ranks: (steps taken + 1, count) their ranks among the allowed items after each step.
        thoughts: what happened in each step, from step 0.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    ranks: NDArray[np.int64]
    thoughts: Thoughts

    def take(self, places: NDArray[np.int64]) -> Answer:
        """The answer with only these of its items, in this order."""
        return Answer(self.rows[places], self.scores[places], self.ranks[:, places], self.thoughts)


@dataclass(frozen=True)
class ReplayedStep:
    """One step for V histories at once.

    Attributes:
        scores: (V, N) the ranking after this step; that of the answer after the last one.
        code_logits: (V, T) the distribution of the code that the next step writes.
    """

    scores: NDArray[np.float32]
    code_logits: NDArray[np.float32]


class Reasoner(Protocol):
    """Answers a batch of queries; the only way to the model."""

    def answer(self, queries: Sequence[Query]) -> Iterator[tuple[int, Answer]]:
        """Every query's place in the batch and its answer, each as soon as it is there."""
        ...

    def steps(
        self, history: Sequence[int], thoughts: Thoughts, items: ScoredItems | None = None
    ) -> list[StepTrace]:
        """What the thoughts of an answer to `history` (catalogue rows, oldest first) mean."""
        ...

    def replay(
        self,
        histories: Sequence[Sequence[int]],
        allowed: NDArray[np.bool_],
        steps: int,
        counts: Sequence[Sequence[float]] | None = None,
        items: ScoredItems | None = None,
        looked_at: Sequence[int] = (),
    ) -> Iterator[ReplayedStep]:
        """Steps 0 to `steps` for several histories, each as if it were asked alone.

        Args:
            histories: catalogue rows, oldest first, at least one each.
            allowed: (N,) which items may be recommended.
            steps: reasoning steps to take.
            counts: of each history, as in a Query.
            items: as in a query.
            looked_at: rows whose scores must be known whatever a history leads to.
        """
        ...


class ItemTrace(NamedTuple):
    """One recommended item: its score, its rank after each step, its reasons and what they name."""

    row: int
    score: float
    ranks: list[int]
    reasons: list[tuple[ReasonKind, list[int]]]

    def named(self) -> list[int]:
        """Rows of the items that its reasons name."""
        return [row for _, rows in self.reasons for row in rows]


class Record(BaseModel):
    """What is kept of one recommendation, so that it can be explained.

    Attributes:
        history: what the model read, oldest first.
        counts: how much each of these counts as evidence; empty where all count 1.
        filter: the filter of the request.
        exclude_seen: whether the items of the history were left out.
        added: ids of its items that are not in the bundle, by row; their rows differ between workers.
    """

    model_version: str
    created_at: datetime
    degraded: bool
    history: list[int]
    counts: list[float] = []
    filter: ItemFilter
    exclude_seen: bool
    items: list[ItemTrace]
    thoughts: Thoughts = Thoughts()
    added: dict[int, str] = {}

    def rows(self) -> set[int]:
        """Every row that it names."""
        recommended = {row for item in self.items for row in (item.row, *item.named())}
        return {*self.history, *recommended, *(row for top in self.thoughts.top for row in top)}

    def moved(self, rows: Mapping[int, int]) -> Record:
        """The same record where items have other rows; `rows` says which."""

        def new(old: list[int]) -> list[int]:
            return [rows.get(row, row) for row in old]

        items = [
            item._replace(
                row=rows.get(item.row, item.row),
                reasons=[(kind, new(named)) for kind, named in item.reasons],
            )
            for item in self.items
        ]
        top = [new(step) for step in self.thoughts.top]
        return self.model_copy(
            update={
                "history": new(self.history),
                "items": items,
                "thoughts": self.thoughts.model_copy(update={"top": top}),
            }
        )


class Trace(Record):
    """Everything that the explanation of one recommendation is rendered from: its record, read.

    Attributes:
        steps: what its thoughts mean.
    """

    steps: list[StepTrace]
