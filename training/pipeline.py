"""From raw files to a trained model: the steps in order.

prepare ─► items ─► stage1 ─► stage2_deliberate ─► stage2_annotate ─► stage2_finetune ─► stage3
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from threadpoolctl import threadpool_limits

from model_export.contract.errors import DataError
from model_export.contract.files import sha256, write_json
from training import distributed
from training.args import RunConfig
from training.checkpoint import load_weights, save_weights
from training.data.prepare import Dataset, prepare
from training.data.sequences import MIN_EVALUATED, Holdout
from training.evaluate import evaluate_loop, ndcg_by_beam_weight, step_name, weight_that_pays
from training.items.catalog_items import fit_catalog_items
from training.lists import build_lists, state_logits
from training.model import StreamRec
from training.reasoning import start_codebook
from training.run import Run, expected_files
from training.run_folder import About, RunFolder
from training.stages.stage1_pretrain import pretrain
from training.stages.stage2_annotate import annotate_all
from training.stages.stage2_cross_fit import Data, cross_fit, cross_fitted_lists
from training.stages.stage2_deliberate import final_scores, new_deliberator, train_deliberator
from training.stages.stage2_finetune import finetune
from training.stages.stage3_reinforce import reinforce
from training.steps import STEPS, StepName

BEAM_WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.4)
"""Weights that the beam search may get in the final score; validation decides."""
VALIDATION_USERS = 3000
"""Users on whom an epoch is judged; the tables of the summary use all of them."""


def train(
    interactions: Path,
    items: Path | None,
    path: Path,
    config: RunConfig,
    seed: int,
    progress: Progress,
    tell: Callable[[str], None],
    last: StepName = "stage3",
) -> Run:
    """Run every step up to `last`, skipping what is unchanged and resuming what was interrupted.

    Raises:
        DataError: an input file is wrong.
        RunError: the run directory cannot be used, or another process trains there.
    """
    run = Run(RunFolder(path, tell), config, seed)
    with run.folder.locked() if distributed.is_first() else nullcontext():
        for step in STEPS[: STEPS.index(last) + 1]:
            _STEPS[step](run, interactions, items, progress)
    return run


def _prepare(run: Run, interactions: Path, items: Path | None, _: Progress) -> None:
    """Read the input before anything is written: a wrong file leaves a run as it was."""
    inputs = {
        "interactions": input_fingerprint(interactions),
        "items": items and input_fingerprint(items),
    }
    settings = [run.config.data.model_dump(), inputs]
    reads = distributed.is_first() and not run.folder.holds("prepare", settings, [])
    dataset = _read(run, interactions, items) if reads else None

    def work(folder: Path) -> dict[str, Any]:
        assert dataset
        dataset.sequences.save(folder)
        dataset.catalog.write(folder / "catalog.jsonl")
        return asdict(dataset.report)

    if distributed.is_first():
        about = About(
            seed=run.seed,
            interactions=str(interactions),
            items=str(items) if items else None,
            config=run.config,
        )
        write_json(run.folder.path / "run.json", about.model_dump(mode="json"))
    run.folder.do("prepare", settings, [], work, alone=True)


def _read(run: Run, interactions: Path, items: Path | None) -> Dataset:
    data = run.config.data
    dataset = prepare(
        interactions, items,
        min_rating=data.min_rating, event_types=data.event_types,
        min_interactions=data.min_interactions,
    )  # fmt: skip
    run.folder.tell(dataset.report.summary())
    longest = dataset.sequences.lengths.max()
    if longest < MIN_EVALUATED or dataset.sequences.training().lengths.max() < 2:
        raise DataError(
            f"{interactions}: nothing to learn from: two items of every user are held out to "
            "measure accuracy, and no user has two more; bring longer histories"
        )
    return dataset


def input_fingerprint(path: Path) -> str | None:
    """sha256 of an input file; None where it cannot be read, which `prepare` explains better."""
    return sha256(path) if path.is_file() else None


def _items(run: Run, *_: object) -> None:
    config = run.config

    def work(folder: Path) -> dict[str, object]:
        # Sums in another order would give other vectors.
        with threadpool_limits(1), torch.device("cpu"):
            return fit_catalog_items(run.catalog, run.training, config, run.seed, folder)

    settings = [
        config.items.model_dump(), config.evidence.model_dump(), config.stage1.similar, run.seed,
    ]  # fmt: skip
    run.folder.do(
        "items", settings, ["prepare"],
        work, alone=True,
    )  # fmt: skip


def _stage1(run: Run, _: Path, __: Path | None, progress: Progress) -> None:
    def work(folder: Path) -> dict[str, Any]:
        model = run.new_model()
        validate = _validator(run, model, steps=0)
        history = pretrain(
            model, run.windows, run.items.similar, validate, run.config.stage1, folder, run.seed,
            progress,
        )  # fmt: skip
        return {"history": history}

    settings = [run.config.model.model_dump(), run.config.stage1.model_dump(), run.seed]
    run.folder.do("stage1", settings, ["items"], work)


def _deliberate(run: Run, _: Path, __: Path | None, progress: Progress) -> None:
    config = run.config

    def work(folder: Path) -> dict[str, Any]:
        data = Data(run.training, run.items.evidence.tables["text"], config, progress)
        folds = cross_fit(data, run.new_model, folder, run.seed)
        lists, mix = cross_fitted_lists(folds, config.deliberate, folder)
        texts = distributed.tensor(run.items.texts)
        held_out = sample(run.sequences.holdout("valid"), run.seed)
        scorer = run.items.evidence.scorer(mix)
        validation = build_lists(
            held_out.histories, held_out.targets, state_logits(run.model("stage1")),
            scorer, config.deliberation.candidates,
        )  # fmt: skip
        deliberator = new_deliberator(lists, texts.shape[1], config)
        history = train_deliberator(
            deliberator, lists, validation, texts, config, folder, run.seed, progress
        )
        figures = [record["metrics"] for record in history]
        best = max(figures, key=itemgetter("objective"), default=None)
        if best is None:
            run.folder.tell(
                "deliberation stays untrained and out of the answers: of no user do the others say enough "
                "for what came next to be among the candidates; more histories are what helps"
            )
        elif best["objective"] <= best["ndcg@10 round 0"]:
            run.folder.tell(
                f"deliberation did not beat the mix on validation (NDCG@10 {best['objective']:.4f}, the mix "
                f"{best['ndcg@10 round 0']:.4f}) and stays out of the answers: {len(lists):,} lists were "
                "too few to learn it from; histories of more users are what helps"
            )
        judge = partial(final_scores, deliberator, texts=texts, rounds=config.model.max_steps)
        files = expected_files(folder, config.deliberate.folds)
        for fold, file in zip(folds, distributed.own(files), strict=True):
            if not file.is_file():
                fold.expected(config.deliberate.max_expected, mix, judge).save(file)
        distributed.wait()
        return {"mix": mix, "lists": len(lists), "history": history}

    settings = [config.deliberate.model_dump(), config.deliberation.model_dump(), run.seed]
    run.folder.do("stage2_deliberate", settings, ["stage1"], work)


def _annotate(run: Run, _: Path, __: Path | None, progress: Progress) -> None:
    def work(folder: Path) -> dict[str, Any]:
        model = run.model("stage1")
        start_codebook(model)
        labels, distances = annotate_all(model, run.windows, run.catalog, folder, progress)
        save_weights(folder / "model.safetensors", model)
        if distributed.is_first():
            np.save(folder / "labels.npy", labels, allow_pickle=False)
        return {"distance": distances}

    run.folder.do("stage2_annotate", [], ["stage1"], work)


def _finetune(run: Run, _: Path, __: Path | None, progress: Progress) -> None:
    def work(folder: Path) -> dict[str, Any]:
        model = run.new_model()
        with run.folder.reading("stage2_annotate") as annotated:
            load_weights(annotated / "model.safetensors", model)
            labels = np.load(annotated / "labels.npy", mmap_mode="r", allow_pickle=False)
        validate = _validator(run, model, steps=model.config.max_steps)
        history = finetune(
            model, run.windows, labels, run.trie, run.index.leaf_items, validate,
            run.config.stage2, folder, run.seed, progress, run.expected,
        )  # fmt: skip
        return {"history": history}

    settings = [run.config.stage2.model_dump(), run.seed]
    run.folder.do("stage2_finetune", settings, ["stage2_annotate", "stage2_deliberate"], work)


def _stage3(run: Run, _: Path, __: Path | None, progress: Progress) -> None:
    def work(folder: Path) -> dict[str, Any]:
        model = run.model("stage2_finetune")
        held_out = sample(run.sequences.holdout("valid"), run.seed)

        def figures() -> dict[float, NDArray[np.float64]]:
            model.eval()
            loop = run.loop(model, run.scorer, run.deliberator)
            return ndcg_by_beam_weight(loop, held_out, BEAM_WEIGHTS)

        def validate() -> dict[str, float]:
            return {"objective": max(float(ndcg.mean()) for ndcg in figures().values())}

        history = reinforce(
            model, run.windows, run.trie, validate, run.config.stage3, folder, run.seed, progress
        )
        by_weight = figures()
        means = {str(weight): float(ndcg.mean()) for weight, ndcg in by_weight.items()}
        return {
            "history": history,
            "beam": weight_that_pays(by_weight),
            "ndcg@10 by beam weight": means,
        }

    settings = [run.config.stage3.model_dump(), run.seed]
    run.folder.do("stage3", settings, ["stage2_finetune"], work)


_STEPS: dict[StepName, Callable[[Run, Path, Path | None, Progress], None]] = {
    "prepare": _prepare,
    "items": _items,
    "stage1": _stage1,
    "stage2_deliberate": _deliberate,
    "stage2_annotate": _annotate,
    "stage2_finetune": _finetune,
    "stage3": _stage3,
}


def sample(holdout: Holdout, seed: int) -> Holdout:
    """VALIDATION_USERS of the held-out users, always the same ones for a seed."""
    order = np.random.default_rng(seed).permutation(len(holdout.targets))[:VALIDATION_USERS]
    order.sort()
    histories = [holdout.histories[i] for i in order]
    return Holdout(holdout.users[order], histories, holdout.targets[order])


def _validator(run: Run, model: StreamRec, *, steps: int) -> Callable[[], dict[str, float]]:
    """Validation NDCG@10 of the network's states alone; after `steps` of them decides."""
    held_out = sample(run.sequences.holdout("valid"), run.seed)

    def validate() -> dict[str, float]:
        model.eval()
        silent = run.items.evidence.scorer({"state": 1.0})
        figures = evaluate_loop(
            run.loop(model, silent, None), held_out, run.items.evidence.popularity,
            sorted({0, steps}),
        )  # fmt: skip
        ndcg = {name: values["ndcg@10"] for name, values in figures.items()}
        return {**ndcg, "objective": ndcg[step_name(steps)]}

    return validate
