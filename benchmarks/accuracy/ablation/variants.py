"""The variants: the base configuration with one thing changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from training.args import RewardConfig, RunConfig
from training.presets import merged

LOSSES = {
    "stage1": ("generation", "state", "prefix_share", "smoothing"),
    "stage2": ("state", "quantization", "commitment", "generation", "dpo"),
}
"""Fields of each stage that 0 turns off."""
WITHOUT_DISTILLATION = {
    "distillation": 0.0,
    "generation": 1.0,
    "optim": {"epochs": 3, "batch_size": 1024, "learning_rate": 5e-4},
}
"""Then only what thinks is fine-tuned, for which this was best."""
SHAPES = ((3, 256), (4, 64), (4, 256), (5, 256), (4, 512))
"""Levels × codes of a semantic ID."""
STEPS = (1, 2, 4, 6)
"""Reasoning steps, which are also the codes of the synthetic prefix (l and q)."""


@dataclass(frozen=True)
class Variant:
    """A run to compare with the base.

    Attributes:
        name: also that of its run directory.
        changes: fields of RunConfig, nested.
        read_items: whether the items file is read; without it nothing has a text, and an item that
            nobody met is not in the catalogue.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    read_items: bool = True

    def config(self, base: RunConfig) -> RunConfig:
        """The base configuration with the changes."""
        return RunConfig.model_validate(merged(base.model_dump(), self.changes))


def variants(base: RunConfig) -> Iterator[Variant]:
    """All variants that differ from the base."""
    for variant in _all(base):
        if variant.config(base) != base or not variant.read_items:
            yield variant


def _all(base: RunConfig) -> Iterator[Variant]:
    for stage, names in LOSSES.items():
        for name in names:
            yield Variant(f"{stage} without {name}", {stage: {name: 0.0}})
    yield Variant("stage2 without distillation", {"stage2": WITHOUT_DISTILLATION})
    for share in (0.0, 1.0):
        yield Variant(f"stage2 own_tokens {share:g}", {"stage2": {"own_tokens": share}})
    for reward in RewardConfig.model_fields:
        without = {"stage3": {"rewards": {reward: 0.0}}}
        yield Variant(f"stage3 without reward {reward}", without)
    yield Variant("stage3 without kl", {"stage3": {"kl": 0.0}})
    for source in ("text", "behaviour"):
        yield Variant(f"codes without {source}", {"items": {f"{source}_weight": 0.0}})
    yield Variant("no text at all", read_items=False)
    for method in ("kmeans", "rqvae"):
        yield Variant(f"codes by {method}", {"items": {"method": method}})
    for levels, codes in SHAPES:
        yield Variant(f"codes {levels} x {codes}", {"items": {"levels": levels, "codes": codes}})
    for steps in STEPS:
        efforts = {name: min(n, steps) for name, n in base.inference.efforts}
        changes: dict[str, Any] = {
            "model": {"max_steps": steps},
            "inference": {"efforts": efforts | {"deep": steps}},
        }
        yield Variant(f"reasoning steps {steps}", changes)
