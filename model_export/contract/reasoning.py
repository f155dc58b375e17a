"""The multi-step reasoning loop, once for the service, for evaluation and for verification.

    encode ──► step 0: state, evidence, ranking
    consider ──► what no step changes
    think + deliberate ──► step 1, 2, …: a token is written, the state moves, the candidates are weighed again
    answer ──► beam search over semantic IDs, where the mix asks for it

Every step ends in a complete ranking, so the loop is a generator: whoever runs it may stop at any step.
With deliberation, step 0 proposes the candidates and every further step weighs them again; without it
(the paper's form) a ranking looks at the mean of the states so far, which errs less than the last one alone.
The graphs run behind one method, in ONNX Runtime or in torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model_export.contract.bundle import Bundle, GraphName
from model_export.contract.config import DeliberationConfig
from model_export.contract.evidence import NeighbourTable
from model_export.contract.graph_io import trie_inputs
from model_export.contract.history import PADDING, Rows, encode_counts, encode_history
from model_export.contract.inverted_file import InvertedFile
from model_export.contract.pool import Mask, Pooling
from model_export.contract.ranking import Ranking
from model_export.contract.scoring import (
    TABLES,
    Array,
    Gains,
    Scorer,
    as_evidence,
    relative_to_best,
)

EVIDENCE_HISTORY = 1000
"""Newest history items that the evidence looks at; the network reads `max_history` of them."""


TOP = 100
"""Best items that a ranking without deliberation has at hand."""


class Runner(Protocol):
    """Runs one of the graphs of graph_io.py."""

    def run(self, name: GraphName, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name; `inputs` may hold more than the graph asks for."""
        ...


@dataclass(frozen=True)
class ReasonedStep:
    """Where a batch of B requests stands after one step.

    Attributes:
        index: reasoning tokens written so far.
        ranking: a complete ranking for each request.
        state: (B, d) s_i.
        mean_state: (B, d) mean of s_0 … s_i, by which the states alone rank.
        written: (B,) the token written in this step; None at step 0.
        token_logits: (B, T) the distribution of the token that the next step writes.
        attention: (B, H) share of each history position, right-aligned.
        allowed: which of the N items each request may be answered with.
        tensors: what the graphs need to go on from here.
    """

    index: int
    ranking: Ranking
    state: Array
    mean_state: Array
    written: NDArray[np.int64] | None
    token_logits: Array
    attention: Array
    allowed: Sequence[Mask]
    tensors: Mapping[str, NDArray[Any]]

    @property
    def scores(self) -> Array:
        """(B, N) scores of the ranking; EXCLUDED where an item is not allowed."""
        return self.ranking.scores


@dataclass(frozen=True)
class LoopTables:
    """What the loop reads beside the graphs.

    Attributes:
        item_vectors: (N, d) unit vectors that states are compared with.
        item_inputs: (N, d) encoder inputs.
        item_texts: (N, D) text vectors.
        trie: child_codes, first_child and leaf_range of each level, by their names in graph_io.py.
        leaf_items: (N,) catalogue row of each leaf.
        index: finds the vectors that are worth comparing with a state; None compares all of them.
    """

    item_vectors: Array
    item_inputs: Array
    item_texts: Array
    trie: Mapping[str, NDArray[np.int64]]
    leaf_items: NDArray[np.int64]
    index: InvertedFile | None = None

    @classmethod
    def of(cls, bundle: Bundle) -> LoopTables:
        """The tables of a bundle.

        Raises:
            BundleError: one is missing.
        """
        names = trie_inputs(len(bundle.manifest.code_sizes))
        return cls(
            item_vectors=bundle.table("item_vectors"),
            item_inputs=bundle.table("item_inputs"),
            item_texts=bundle.table("item_texts"),
            trie={name: bundle.table(name) for name in names},
            leaf_items=bundle.table("leaf_items"),
            index=InvertedFile.of(bundle),
        )


def scorer_of(bundle: Bundle) -> Scorer:
    """The evidence of a bundle with its tuned weights."""
    tables = {
        name: NeighbourTable(bundle.table(f"{name}_items"), bundle.table(f"{name}_weights"))
        for name in TABLES
    }
    popularity, recent = bundle.table("popularity"), bundle.table("recent")
    return Scorer(tables, popularity, recent, bundle.manifest.scoring)


class ReasoningLoop:
    """Runs the loop for batches of requests.

    Args:
        runner: runs the graphs.
        tables: item tables and trie.
        scorer: evidence and the weights of the mix.
        max_history: newest items that the network reads.
        max_steps: steps that the network can take.
        deliberation: its shape; None leaves it out, so that every step ranks by the mix of its own
            state (the paper's form).
    """

    def __init__(
        self,
        runner: Runner,
        tables: LoopTables,
        scorer: Scorer,
        *,
        max_history: int,
        max_steps: int,
        deliberation: DeliberationConfig | None,
    ) -> None:
        self.runner = runner
        self.tables = tables
        self.scorer = scorer
        self.max_history = max_history
        self.max_steps = max_steps
        self.deliberation = deliberation
        self._candidates = deliberation.candidates if deliberation else TOP
        self._pooling = Pooling(tables.item_vectors, tables.index, scorer, self._candidates)

    def reading(self, index: InvertedFile | None) -> ReasoningLoop:
        """The same loop through an index, or without one."""
        return ReasoningLoop(
            self.runner,
            replace(self.tables, index=index),
            self.scorer,
            max_history=self.max_history,
            max_steps=self.max_steps,
            deliberation=self.deliberation,
        )

    def run(
        self,
        histories: Sequence[Rows],
        allowed: Iterable[Mask],
        counts: Sequence[Sequence[float]] | None = None,
        looked_at: Sequence[int] = (),
    ) -> Iterator[ReasonedStep]:
        """Steps 0, 1, …, max_steps; the caller may stop asking at any of them.

        Args:
            histories: catalogue rows, oldest first, at least one each.
            allowed: which of the N items each request may be answered with.
            counts: how much each position of a history counts as evidence, where it is not 1; empty
                for a history in which all do. The network reads every position alike.
            looked_at: rows that are looked at although neither state nor evidence leads to them.
        """
        rows = encode_history(histories, self.max_history)
        known = np.maximum(rows, 0)
        mask = rows != PADDING
        evidence_rows = encode_history(histories, EVIDENCE_HISTORY)
        counted = encode_counts(counts, evidence_rows.shape[1])
        masks = list(allowed)
        repeats = [bool(m[np.asarray(h)].any()) for m, h in zip(masks, histories, strict=True)]
        besides = np.array(looked_at, np.intp), np.zeros(len(looked_at), np.float32)
        gains = self.scorer.reached(evidence_rows, counted, repeats)
        reached = [[*own, besides] for own in gains]

        step = self.runner.run("encode", {"history": self.tables.item_inputs[known], "mask": mask})
        mean_state = step["state"]
        first, logits = self._ranked(mean_state, reached, masks)
        fixed = {
            "mask": mask,
            "cross_keys": step["cross_keys"],
            "cross_values": step["cross_values"],
        }
        yield _reasoned(0, first, mean_state, None, step, fixed, masks)

        weigh = None
        if self.deliberation:
            mix = _of_candidates(first, [pool.mix for pool in first.pools])
            features = self.scorer.features(
                first.candidates, _of_candidates(first, logits), mix, evidence_rows, counted
            )
            weigh = _Deliberation(self, first, mix, features, self.tables.item_texts[known], mask)
        for index in range(1, self.max_steps + 1):
            token = step["token_logits"].argmax(1)
            step = self.runner.run("think", {**fixed, **_continuation(step), "token": token})
            mean_state = mean_state + (step["state"] - mean_state) / (index + 1)
            if weigh:
                ranking = weigh.round()
            else:
                ranking, _ = self._ranked(mean_state, reached, masks)
            yield _reasoned(index, ranking, mean_state, token, step, fixed, masks)

    def search(self, step: ReasonedStep) -> tuple[NDArray[np.int64], Array]:
        """Beam search over semantic IDs from where a step stands.

        Returns:
            Catalogue rows (B, W), best first, -1 where fewer items are allowed; log-likelihoods (B, W).
        """
        allowed = np.stack([mask[self.tables.leaf_items] for mask in step.allowed])
        found = self.runner.run("answer", {**step.tensors, "allowed": allowed, **self.tables.trie})
        leaves = found["leaves"]
        rows = np.where(leaves >= 0, self.tables.leaf_items[np.maximum(leaves, 0)], -1)
        return rows, found["log_likelihood"]

    def final_ranking(self, step: ReasonedStep) -> Ranking:
        """The ranking that an answer after this step is taken from: beams count as evidence."""
        weight = self.scorer.weights.get("beam", 0.0)
        if not weight:
            return step.ranking
        rows, log_likelihood = self.search(step)
        gains = np.float32(weight) * as_evidence(np.exp(log_likelihood), "beam")
        return step.ranking.raised(rows, gains)

    def final_scores(self, step: ReasonedStep) -> Array:
        """The scores of `final_ranking` (B, N)."""
        return self.final_ranking(step).scores

    def _ranked(
        self, states: Array, reached: Sequence[Sequence[Gains]], allowed: Sequence[Mask]
    ) -> tuple[Ranking, Sequence[Array]]:
        """The ranking by the mix, and the logits of each of its pools."""
        pools, logits = zip(*self._pooling.pools(states, reached, allowed), strict=True)
        return Ranking.of(pools, self._candidates), logits


class _Deliberation:
    """The rounds over the candidates of one batch."""

    def __init__(
        self,
        loop: ReasoningLoop,
        first: Ranking,
        mix: Array,
        features: Array,
        history_texts: Array,
        mask: NDArray[np.bool_],
    ) -> None:
        assert loop.deliberation
        batch, count = first.candidates.shape
        width = loop.deliberation.d_model
        self.runner = loop.runner
        self.first = first
        considered = self.runner.run(
            "consider",
            {
                "features": features,
                "candidates": loop.tables.item_texts[first.candidates],
                "history_texts": history_texts,
                "mask": mask,
            },
        )
        self.tensors: dict[str, NDArray[Any]] = {
            **considered,
            "mask": mask,
            "base": mix,
            "round": np.zeros(1, np.float32),
            "judged_in": np.zeros((batch, count), np.float32),
            "notes_in": np.zeros((batch, count, width), np.float32),
            "thoughts_in": np.zeros((batch, loop.deliberation.thoughts, width), np.float32),
        }

    def round(self) -> Ranking:
        """Weigh the candidates once more."""
        self.tensors["round"] = self.tensors["round"] + 1
        weighed = self.runner.run("deliberate", self.tensors)
        self.tensors |= {
            "judged_in": weighed["judged"],
            "notes_in": weighed["notes"],
            "thoughts_in": weighed["thoughts"],
        }
        return replace(self.first, weighed=weighed["scores"])


def _of_candidates(ranking: Ranking, scores: Sequence[Array]) -> Array:
    """Scores of the pools, each (W,), for the candidates (B, C), relative to the best of each pool."""
    chosen = zip(scores, ranking.places, strict=True)
    return np.stack([relative_to_best(own, places) for own, places in chosen])


def beam_evidence(rows: NDArray[np.int64], log_likelihood: Array, n_items: int) -> Array:
    """What the beams say of every item (B, N): log(1 + probability / unit), 0 where none found it."""
    probability = np.zeros((len(rows), n_items + 1), dtype=np.float32)
    np.put_along_axis(probability, rows % (n_items + 1), np.exp(log_likelihood), 1)
    return as_evidence(probability[:, :n_items], "beam")


def _continuation(step: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {
        "past_thought": step["thought"],
        "past_keys_in": step["past_keys"],
        "past_values_in": step["past_values"],
    }


def _reasoned(
    index: int,
    ranking: Ranking,
    mean_state: Array,
    written: NDArray[np.int64] | None,
    step: Mapping[str, NDArray[Any]],
    fixed: Mapping[str, NDArray[Any]],
    allowed: Sequence[Mask],
) -> ReasonedStep:
    return ReasonedStep(
        index,
        ranking,
        step["state"],
        mean_state,
        written,
        step["token_logits"],
        step["attention"],
        allowed,
        {**fixed, **_continuation(step)},
    )
