"""What each stage brought: validation figures of the network and of the whole answer, step by step."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError
from rich.progress import Progress

from model_export.contract.errors import RunError
from model_export.contract.files import write_json
from model_export.contract.reasoning import ReasoningLoop
from model_export.contract.scoring import DEFAULT_WEIGHTS
from training import distributed
from training.data.sequences import Split
from training.evaluate import Figures, evaluate_loop
from training.run import NETWORK_STEPS, Run
from training.steps import STEPS, StepName

MODEL_STEPS: tuple[StepName, ...] = ("stage1", "stage2_deliberate", "stage2_finetune", "stage3")
"""Steps after which the model answers differently."""


@dataclass(frozen=True)
class StageSummary:
    """What a stage left.

    Attributes:
        fingerprint: of the step that these figures belong to.
        seconds: that the step took.
        network: figures of the state alone, under "0 steps", "1 step", …
        answer: figures of the whole answer, with evidence and, once learnt, deliberation.
    """

    fingerprint: str
    seconds: float
    network: dict[str, Figures]
    answer: dict[str, Figures]


Summary = dict[StepName, StageSummary]
_SUMMARY = TypeAdapter(Summary)


def finished_models(run: Run) -> list[StepName]:
    """The finished steps of MODEL_STEPS.

    Raises:
        RunError: there is none.
    """
    finished = [step for step in MODEL_STEPS if run.folder.finished(step)]
    if not finished:
        raise RunError(f"{run.folder.path} holds no model yet; run `streamrec train` first")
    return finished


def evaluate_after(
    run: Run,
    step: StepName,
    split: Split,
    progress: Progress,
    *,
    network_only: bool = False,
    seen_kept: bool = False,
) -> dict[str, Figures]:
    """Figures of the model as a step of MODEL_STEPS left it, for every number of reasoning steps.

    Raises:
        RunError: the step is not finished.
    """
    run.folder.record(step)
    holdout = run.sequences.holdout(split)
    what = "network" if network_only else "answers"
    task = progress.add_task(f"evaluate {step}, {what}", total=len(holdout.targets))
    return evaluate_loop(
        _loop_after(run, step, network_only), holdout, run.items.evidence.popularity,
        range(run.config.model.max_steps + 1), seen_kept=seen_kept,
        advance=lambda users: progress.advance(task, users),
    )  # fmt: skip


def _loop_after(run: Run, step: StepName, network_only: bool) -> ReasoningLoop:
    """The reasoning loop with what was learnt up to a step."""
    model = run.model(
        [name for name in NETWORK_STEPS if STEPS.index(name) <= STEPS.index(step)][-1]
    )
    deliberates = STEPS.index(step) >= STEPS.index("stage2_deliberate")
    if deliberates and not network_only:
        return run.loop(model, run.scorer, run.deliberator)
    weights = {"state": 1.0} if network_only else DEFAULT_WEIGHTS
    return run.loop(model, run.items.evidence.scorer(weights), None)


def summarise(run: Run, progress: Progress) -> Summary:
    """Evaluate every finished stage on all validation users; what is known already is read.

    Kept in `summary.json` of the run.
    """
    known = _known(run)
    summary: Summary = {}
    for step in (step for step in MODEL_STEPS if run.folder.finished(step)):
        record = run.folder.record(step)
        if step in known and known[step].fingerprint == record["fingerprint"]:
            summary[step] = known[step]
            continue
        summary[step] = StageSummary(
            record["fingerprint"],
            record["seconds"],
            evaluate_after(run, step, "valid", progress, network_only=True)
            if step in NETWORK_STEPS
            else summary["stage1"].network,
            evaluate_after(run, step, "valid", progress),
        )
    if distributed.is_first():
        write_json(
            run.folder.path / "summary.json",
            {step: asdict(stage) for step, stage in summary.items()},
        )
    return summary


def final_figures(run: Run) -> dict[str, Figures]:
    """Validation figures of the finished model by number of steps; empty before `summarise`."""
    final = _known(run).get("stage3")
    if final and final.fingerprint == run.folder.record("stage3")["fingerprint"]:
        return final.answer
    return {}


def _known(run: Run) -> Summary:
    file = run.folder.path / "summary.json"
    try:
        return _SUMMARY.validate_json(file.read_bytes()) if file.is_file() else {}
    except ValidationError as error:
        raise RunError(
            f"{file} is damaged; delete it, and `streamrec train` evaluates the stages again"
        ) from error
