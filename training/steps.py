"""The steps of a training, in the order in which they run."""

from __future__ import annotations

from typing import Literal, get_args

StepName = Literal[
    "prepare",
    "items",
    "stage1",
    "stage2_deliberate",
    "stage2_annotate",
    "stage2_finetune",
    "stage3",
]
STEPS: tuple[StepName, ...] = get_args(StepName)
