"""Torch against ONNX Runtime on real histories: the same top items, or no bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model_export.contract.bundle import GRAPHS, GraphName, open_bundle
from model_export.contract.errors import BundleError
from model_export.contract.reasoning import LoopTables, ReasoningLoop, scorer_of
from training.deliberation import Deliberator
from training.model import StreamRec
from training.run import Run

HISTORIES = 200
TOP = 10
TOLERANCE = 1e-3
"""Largest difference of a score between the two; items closer than this may change places."""


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


def verify_bundle(path: Path, run: Run, model: StreamRec, deliberator: Deliberator) -> str:
    """Compare the loop on ONNX Runtime and the bundle's tables with the loop on torch and the run.

    Every step and the beam search are compared, one history at a time and in batches.

    Returns:
        What was compared, in a few words.

    Raises:
        BundleError: scores or top items differ.
    """
    bundle = open_bundle(path, require_verified=False)
    onnx_loop = ReasoningLoop(
        OnnxRunner(path),
        LoopTables.of(bundle),
        scorer_of(bundle),
        max_history=bundle.manifest.model.max_history,
        max_steps=bundle.manifest.model.max_steps,
        deliberation=bundle.manifest.deliberation,
    )
    torch_loop = run.loop(model, run.scorer, deliberator)
    histories = run.sequences.holdout("test").histories[:HISTORIES]
    worst = 0.0
    for size in (1, 8):
        part = histories[: HISTORIES // 4] if size == 1 else histories[HISTORIES // 4 :]
        for begin in range(0, len(part), size):
            worst = max(worst, _compare(torch_loop, onnx_loop, part[begin : begin + size], path))
    return f"{len(histories)} histories, largest difference of a score {worst:.1e}"


def _compare(
    ours: ReasoningLoop, theirs: ReasoningLoop, histories: list[NDArray[np.int64]], path: Path
) -> float:
    n_items = len(ours.tables.item_vectors)
    allowed = np.ones((len(histories), n_items), dtype=bool)
    for line, history in zip(allowed, histories, strict=True):
        line[history] = len(np.unique(history)) == n_items
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
