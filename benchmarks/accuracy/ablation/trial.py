"""One variant: train it on top of what the base already has, judge it, remember both."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.judge import Judge
from benchmarks.accuracy.reasoner import (
    Part,
    finished_networks,
    finished_parts,
    judge_network,
)
from model_export.contract.files import atomic_path, write_json
from model_export.contract.scoring import FEATURES
from training.lists import CandidateLists, fit_mix_weights
from training.run import Run
from training.steps import STEPS

COLUMNS: Sequence[tuple[Part, bool]] = (
    ("state", False),
    ("state", True),
    ("beam", False),
    ("beam", True),
    ("mix", True),
    ("deliberation", True),
)
"""What is reported: each part, without reasoning (False) and after all steps (True)."""


@dataclass(frozen=True)
class Trial:
    """Validation ranks of a variant, seen items removed.

    Attributes:
        ranks: (users,) by what ranked, such as "state, 0 steps" or "mix, deep".
        seconds: that training took, steps of the base included.
    """

    name: str
    ranks: Mapping[str, NDArray[np.int64]]
    seconds: float


def column(part: Part, deep: bool) -> str:
    """Name of a column."""
    return f"{part}, deep" if deep else f"{part}, 0 steps"


def start_from(base: Path, path: Path) -> None:
    """Give a variant the finished steps of the base, as hard links.

    The pipeline replaces files and never writes into them, so the base stays as it is; it skips the
    steps that the variant leaves unchanged and throws the others away.
    """
    if path.exists():
        return
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for step in STEPS:
        if (base / step / "step.json").is_file():
            shutil.copytree(base / step, partial / step, copy_function=os.link)
    partial.rename(path)


def judged(run: Run, name: str) -> Trial:
    """Judge the last network of a run on validation, unless that is known already."""
    last = run.folder.record(finished_networks(run)[-1])
    seconds = sum(run.folder.record(s)["seconds"] for s in STEPS if run.folder.finished(s))
    made_from = [last["fingerprint"], run.config.model_dump(mode="json")]

    def measure() -> dict[str, NDArray[np.int64]]:
        found = _judges(run, finished_parts(run), None)
        deep = run.config.inference.efforts.deep
        return {
            column(part, is_deep): found[part, deep if is_deep else 0].ranks
            for part, is_deep in COLUMNS
            if (part, 0) in found
        }

    return Trial(name, _remembered(run.folder.path / "ablation", made_from, measure), seconds)


def mixes_without(run: Run) -> Iterator[Trial]:
    """The base with one kind of evidence taken out of its mix, the weights of the rest fitted anew.

    Nothing is trained: the weights are fitted on the lists that the run made for deliberation.
    """
    record = run.folder.record("stage2_deliberate")
    weights = run.mix_weights
    files = sorted(run.folder.folder("stage2_deliberate").glob("lists-*.npz"))
    deep = run.config.inference.efforts.deep
    fitted = [name for name in weights if name in FEATURES]

    @cache
    def lists() -> CandidateLists:
        return CandidateLists.join([CandidateLists.load(file) for file in files])

    unable = ("state", "repeat")  # no mix does without states; without seen items nothing repeats
    for kind in dict.fromkeys(_kind(name) for name in fitted if _kind(name) not in unable):

        def measure(kind: str = kind) -> dict[str, NDArray[np.int64]]:
            rest = fit_mix_weights(lists(), [name for name in fitted if _kind(name) != kind])
            without = {name: value for name, value in weights.items() if _kind(name) != kind}
            found = _judges(run, ["mix"], without | rest)
            return {column("mix", True): found["mix", deep].ranks}

        folder = run.folder.path / f"ablation without {kind}"
        ranks = _remembered(folder, [record["fingerprint"]], measure)
        yield Trial(f"mix without {kind}", ranks, 0.0)


def _kind(weight: str) -> str:
    return weight.partition("@")[0]


def _judges(
    run: Run, parts: Sequence[Part], weights: Mapping[str, float] | None
) -> dict[tuple[Part, int], Judge]:
    stage = finished_networks(run)[-1]
    return judge_network(run, stage, run.sequences.holdout("valid"), parts, weights)


def _remembered(
    folder: Path, made_from: object, measure: Callable[[], dict[str, NDArray[np.int64]]]
) -> dict[str, NDArray[np.int64]]:
    """Arrays of `folder`, measured where they are missing or were made from something else."""
    note, arrays = folder / "made_from.json", folder / "ranks.npz"
    if note.is_file() and json.loads(note.read_text(encoding="utf-8")) == made_from:
        with np.load(arrays, allow_pickle=False) as known:
            return dict(known)
    note.unlink(missing_ok=True)
    measured = measure()
    with atomic_path(arrays) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **measured)
    write_json(note, made_from)
    return measured
