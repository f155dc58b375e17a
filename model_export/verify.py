"""Torch against ONNX Runtime on real histories: the same top items, or no bundle.

Both rank the whole catalogue for that. Where the bundle has an index, its answers are then compared with
those that do without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model_export.contract.bundle import GRAPHS, GraphName, open_bundle
from model_export.contract.errors import BundleError
from model_export.contract.ranking import Ranking
from model_export.contract.reasoning import LoopTables, ReasoningLoop, scorer_of
from training.deliberation import Deliberator
from training.evaluate import unseen_mask
from training.model import StreamRec
from training.run import Run

HISTORIES = 200
TOP = 10
TOLERANCE = 1e-3
"""Largest difference of a score between the two; items closer than this may change places."""
LEAST_RECALL = 0.95
"""Share of the exact top items that answers through an index must have, on average."""
_BATCH = 8


@dataclass(frozen=True)
class Verified:
    """What was compared, and how it came out.

    Attributes:
        histories: real ones that were answered on both sides.
        difference: largest of a score among the top items.
        recall: share of the exact top items in the answers through the index; None without one.
    """

    histories: int
    difference: float
    recall: float | None

    def __str__(self) -> str:
        index = (
            "" if self.recall is None else f", {self.recall:.1%} of the top {TOP} through the index"
        )
        return f"{self.histories} histories, largest difference of a score {self.difference:.1e}{index}"


class OnnxRunner:
    """Runs the graphs of a bundle in ONNX Runtime on the CPU (contract.reasoning.Runner)."""

    def __init__(self, bundle: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._sessions = {
            name: onnxruntime.InferenceSession(
                bundle / "graphs" / f"{name}.onnx", options, providers=["CPUExecutionProvider"]
            )
            for name in GRAPHS
        }

    def run(self, name: GraphName, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name."""
        session = self._sessions[name]
        feed = {node.name: np.asarray(inputs[node.name]) for node in session.get_inputs()}
        outputs = session.run(None, feed)
        return {node.name: out for node, out in zip(session.get_outputs(), outputs, strict=True)}


def verify_bundle(path: Path, run: Run, model: StreamRec, deliberator: Deliberator) -> Verified:
    """Compare the loop on ONNX Runtime and the bundle's tables with the loop on torch and the run.

    Every step and the beam search are compared, one history at a time and in batches.

    Raises:
        BundleError: scores or top items differ, or the index misses too many of these.
    """
    bundle = open_bundle(path, require_verified=False)
    served = ReasoningLoop(
        OnnxRunner(path),
        LoopTables.of(bundle),
        scorer_of(bundle),
        max_history=bundle.manifest.model.max_history,
        max_steps=bundle.manifest.model.max_steps,
        deliberation=bundle.manifest.deliberation,
    )
    exact = served.reading(None)
    torch_loop = run.loop(model, run.scorer, deliberator)
    histories = run.sequences.holdout("test").histories[:HISTORIES]
    worst = 0.0
    for size in (1, _BATCH):
        part = histories[: HISTORIES // 4] if size == 1 else histories[HISTORIES // 4 :]
        for batch in _batches(part, size):
            worst = max(worst, _compare(torch_loop, exact, batch, path))
    recall = index_recall(exact, served, histories) if bundle.manifest.index else None
    if recall is not None and recall < LEAST_RECALL:
        raise BundleError(
            f"the bundle for {path.parent} is refused: through the index an answer has only {recall:.1%} of "
            f"the exact top {TOP}, and {LEAST_RECALL:.0%} is the least; give [inference] a larger read_items"
        )
    return Verified(len(histories), worst, recall)


def index_recall(
    exact: ReasoningLoop, indexed: ReasoningLoop, histories: Sequence[NDArray[np.int64]]
) -> float:
    """Share of the exact top items, after all steps, that the answers through an index have."""
    shares = [
        np.isin(wanted, found).mean()
        for batch in _batches(histories, _BATCH)
        for wanted, found in zip(_answers(exact, batch), _answers(indexed, batch), strict=True)
    ]
    return float(np.mean(shares))


def _answers(
    loop: ReasoningLoop, histories: Sequence[NDArray[np.int64]]
) -> list[NDArray[np.int64]]:
    *_, step = loop.run(histories, _unseen(histories, len(loop.tables.item_vectors)))
    ranking: Ranking = loop.final_ranking(step)
    return [ranking.best(request, TOP)[0] for request in range(len(histories))]


def _batches(
    histories: Sequence[NDArray[np.int64]], size: int
) -> Iterator[Sequence[NDArray[np.int64]]]:
    for begin in range(0, len(histories), size):
        yield histories[begin : begin + size]


def _unseen(histories: Sequence[NDArray[np.int64]], n_items: int) -> NDArray[np.bool_]:
    """(B, N) everything but the history, or everything where the history is all there is."""
    allowed = unseen_mask(histories, n_items)
    allowed[~allowed.any(1)] = True
    return allowed


def _compare(
    ours: ReasoningLoop, theirs: ReasoningLoop, histories: Sequence[NDArray[np.int64]], path: Path
) -> float:
    n_items = len(ours.tables.item_vectors)
    allowed = _unseen(histories, n_items)
    allowed[1::2] = True  # as where a request allows what was seen
    worst = 0.0
    pairs = zip(ours.run(histories, allowed), theirs.run(histories, allowed), strict=True)
    for mine, other in pairs:
        a, b = ours.final_scores(mine), theirs.final_scores(other)
        top = np.argpartition(-a, min(TOP, n_items - 1), axis=1)[:, :TOP]
        reference = np.take_along_axis(a, top, 1)
        gap = float(np.abs(reference - np.take_along_axis(b, top, 1)).max())
        intruder = np.where(_marked(top, a.shape), -np.inf, b).max(1)
        if not gap <= TOLERANCE or not (intruder <= reference.min(1) + TOLERANCE).all():
            raise BundleError(
                f"the bundle for {path.parent} is refused: after {mine.index} steps ONNX Runtime "
                f"and torch differ by {gap:.1e} in the scores of the top {TOP}; please report this"
            )
        worst = max(worst, gap)
    mine_rows, mine_scores = ours.search(mine)
    other_rows, other_scores = theirs.search(other)
    alive = mine_rows >= 0
    sure = alive & (mine_scores > other_scores.min(1, keepdims=True) + TOLERANCE)
    found = (mine_rows[:, :, None] == other_rows[:, None, :]).any(2)
    close = np.allclose(mine_scores[alive], other_scores[alive], atol=TOLERANCE)
    if not close or (sure & ~found).any():
        raise BundleError(
            f"the bundle for {path.parent} is refused: ONNX Runtime and torch differ in the beam "
            "search; please report this"
        )
    return worst


def _marked(rows: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    marked = np.zeros(shape, dtype=bool)
    np.put_along_axis(marked, rows, True, 1)
    return marked
