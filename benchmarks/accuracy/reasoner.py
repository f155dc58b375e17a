"""The product's own rankings: after each stage, at each number of steps, by each part of its score.

state         the network's states so far (their mean), nothing else
beam          the generated semantic IDs, nothing else
mix           state and plain evidence, weighted
deliberation  the mix, its best candidates weighed again in each step
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.judge import Judge, question_batches
from benchmarks.accuracy.results import Model
from model_export.contract.reasoning import ReasoningLoop, beam_evidence
from model_export.contract.scoring import Array
from training.data.sequences import Holdout
from training.evaluate import unseen_mask
from training.run import NETWORK_STEPS, Run
from training.steps import StepName

Part = Literal["state", "beam", "mix", "deliberation"]
PARTS: tuple[Part, ...] = get_args(Part)
Key = tuple[Part, int]


def finished_networks(run: Run) -> list[StepName]:
    """Steps of the run that left a network, in order."""
    return [step for step in NETWORK_STEPS if run.folder.finished(step)]


def finished_parts(run: Run) -> list[Part]:
    """Parts that the run can rank by."""
    deliberates = run.folder.finished("stage2_deliberate")
    return [part for part in PARTS if part != "deliberation" or deliberates]


def shipped(run: Run) -> Model:
    """What the service answers with at effort `deep`."""
    stage, part = finished_networks(run)[-1], finished_parts(run)[-1]
    return Model.ours(stage, part, run.config.inference.efforts.deep)


def judge_network(
    run: Run,
    stage: StepName,
    holdout: Holdout,
    parts: Sequence[Part],
    weights: Mapping[str, float] | None = None,
) -> dict[Key, Judge]:
    """Judge the network that a stage left, by each part and after each number of steps.

    Args:
        weights: of the mix; those of the run if not given.
    """
    loops = loops_of(run, stage, run.mix_weights if weights is None else weights)
    judges: dict[Key, Judge] = {}
    for histories, targets in question_batches(holdout):
        everything = np.ones((len(histories), len(run.catalog)), dtype=bool)
        unseen = unseen_mask(histories, len(run.catalog))
        for part in parts:
            rankings = _rankings(loops[part], part, histories, unseen)
            kept = _rankings(loops[part], part, histories, everything)
            for steps in range(run.config.model.max_steps + 1):
                scores, seconds = next(rankings)
                judged = judges.setdefault((part, steps), Judge(run.items.evidence.popularity))
                judged.add(scores, targets, histories, seconds, next(kept)[0])
    return judges


def loops_of(run: Run, stage: StepName, weights: Mapping[str, float]) -> dict[Part, ReasoningLoop]:
    """The reasoning loop that each part is read from."""
    model = run.model(stage)
    alone = run.items.evidence.scorer({"state": 1.0})
    mixed = run.items.evidence.scorer(weights)
    network = run.loop(model, alone, None)
    loops: dict[Part, ReasoningLoop] = {
        "state": network,
        "beam": network,
        "mix": run.loop(model, mixed, None),
    }
    if run.folder.finished("stage2_deliberate"):
        loops["deliberation"] = run.loop(model, mixed, run.deliberator)
    return loops


def _rankings(
    loop: ReasoningLoop,
    part: Part,
    histories: Sequence[NDArray[np.int64]],
    allowed: NDArray[np.bool_],
) -> Iterator[tuple[Array, float]]:
    """Scores (B, N) after 0, 1, 2, … steps, and the seconds from the question to this answer."""
    thinking = 0.0
    began = time.perf_counter()
    for step in loop.run(histories, allowed):
        thinking += time.perf_counter() - began
        began = time.perf_counter()
        scores = (
            beam_evidence(*loop.search(step), allowed.shape[1])
            if part == "beam"
            else loop.final_scores(step)
        )
        yield scores, thinking + time.perf_counter() - began
        began = time.perf_counter()
