"""Configuration of a run: one strict model, read from TOML, defaults made for real shops.

Every field can be set in the file given by `--config`, on top of a preset where it names one
(`preset = "small"`); an unknown key is an error, and all problems are reported at once.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from model_export.contract.config import (
    DeliberationConfig,
    EvidenceConfig,
    InferenceConfig,
    ModelConfig,
    StrictModel,
)
from model_export.contract.errors import ConfigError
from model_export.contract.validation import problems_of
from training.presets import merged, with_preset

DEVICES = ("auto", "cpu", "cuda")
"""Where a training may run; auto takes a GPU where there is one."""


class DataConfig(StrictModel):
    """Which interactions count."""

    min_interactions: int = Field(
        0, ge=0, description="Drop users and items with fewer, repeatedly (k-core)."
    )
    min_rating: float | None = Field(None, description="Count only ratings of at least this.")
    event_types: tuple[str, ...] | None = Field(None, description="Count only these events.")


class ItemsConfig(StrictModel):
    """Item vectors and semantic IDs."""

    text_dims: int = Field(128, ge=1, description="Dimensions of the text vector (TF-IDF + SVD).")
    behaviour_dims: int = Field(
        64, ge=1, description="Dimensions of the behaviour vector (PPMI + SVD)."
    )
    text_weight: float = Field(1.0, ge=0, description="Share of text in what is quantized.")
    behaviour_weight: float = Field(
        1.0, ge=0, description="Share of behaviour in what is quantized."
    )
    levels: int = Field(4, ge=2, description="Codes in one semantic ID (m).")
    codes: int = Field(
        256, ge=2, description="Largest number of codes per level; shrinks with the catalogue."
    )
    method: Literal["kmeans", "rqvae"] = Field("kmeans", description="How vectors become codes.")


class OptimConfig(StrictModel):
    """How a stage is optimised."""

    epochs: int = Field(20, ge=1)
    patience: int = Field(
        3, ge=1, description="Epochs without a better validation NDCG@10 before stopping."
    )
    batch_size: int = Field(1024, ge=1, description="Training examples in a batch.")
    max_targets: int = Field(25, ge=1, description="Examples drawn from one window in one epoch.")
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    clip: float = Field(1.0, gt=0, description="Largest norm of a gradient.")


class Stage1Config(StrictModel):
    """Pretraining on behaviour."""

    optim: OptimConfig = OptimConfig(
        epochs=16, patience=16, batch_size=512, learning_rate=4e-3, weight_decay=0.1
    )
    prefix_share: float = Field(
        0.5, ge=0, le=1, description="Share of examples that write a prefix first."
    )
    similar: int = Field(10, ge=1, description="Prefixes come from this many most similar items.")
    generation: float = Field(
        1.0, ge=0, description="Weight of the likelihood of prefix and item codes."
    )
    state: float = Field(1.0, ge=0, description="Weight of the full-softmax loss of state s_0.")
    smoothing: float = Field(0.1, ge=0, lt=1, description="Label smoothing of the state loss.")
    negatives: int = Field(
        4096, ge=1, description="Sampled softmax: items that stand for a catalogue twice as large."
    )


class Stage2Config(StrictModel):
    """Fine-tuning on annotated traces."""

    optim: OptimConfig = OptimConfig(
        epochs=8, patience=8, batch_size=512, learning_rate=4e-3, weight_decay=0.1
    )
    distillation: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of what deliberation expects in the targets of the states; 0 for none, and then "
        "only what thinks is fine-tuned.",
    )
    state: float = Field(1.0, ge=0, description="Weight of (a) the state–target contrast.")
    quantization: float = Field(0.1, ge=0, description="Weight of (b) the quantization loss.")
    commitment: float = Field(0.25, ge=0, description="Commitment term inside (b).")
    generation: float = Field(
        0.2, ge=0, description="Weight of (c) the annotated sequence's likelihood."
    )
    dpo: float = Field(0.1, ge=0, description="Weight of (d) preference against the direct model.")
    dpo_beta: float = Field(0.1, gt=0)
    own_tokens: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Share of examples that read their own tokens instead of the annotated ones.",
    )
    prefix_share: float = Field(
        0.8, ge=0, le=1, description="Share of examples that reason before they answer."
    )
    smoothing: float = Field(0.1, ge=0, lt=1)
    negatives: int = Field(
        4096, ge=1, description="Sampled softmax: items that stand for a catalogue twice as large."
    )


class DeliberateConfig(StrictModel):
    """Learning to deliberate, on lists that neither network nor memory has seen."""

    folds: int = Field(4, ge=2, description="Users are split in this many folds for cross-fitting.")
    evidence_parts: int = Field(
        3, ge=1, description="Evidence tables of a fold, each without a part of its users."
    )
    max_lists: int = Field(60_000, ge=1, description="Candidate lists to learn from, newest first.")
    max_expected: int = Field(
        200_000, ge=1, description="Positions with soft targets to distil from, newest first."
    )
    network: OptimConfig = OptimConfig(
        epochs=12, patience=12, batch_size=512, learning_rate=4e-3, weight_decay=0.1
    )
    epochs: int = Field(4, ge=1)
    rounds: int = Field(2, ge=1, description="Rounds that are trained.")
    batch_size: int = Field(64, ge=1, description="Lists in a batch.")
    learning_rate: float = Field(1.5e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)


class RewardConfig(StrictModel):
    """Weight of each reward; the ablation decides."""

    format: float = Field(0.05, ge=0, description="The answer parses to a real item.")
    match: float = Field(2.0, ge=0, description="Leading codes of the target that are right.")
    similarity: float = Field(0.2, ge=0, description="Cosine of the final state and the target.")
    likelihood: float = Field(
        0.2, ge=0, description="Target likelier after thinking than directly."
    )
    rank: float = Field(0.2, ge=0, description="Rank of the target among sampled negatives.")


class Stage3Config(StrictModel):
    """Reinforcement learning (GRPO)."""

    steps: int = Field(60, ge=0, description="Policy updates.")
    users: int = Field(128, ge=1, description="Examples per update.")
    group: int = Field(8, ge=2, description="Traces per example (G).")
    temperature: float = Field(1.0, gt=0)
    clip: float = Field(0.2, gt=0, description="Clip of the likelihood ratio.")
    kl: float = Field(1e-3, ge=0, description="Weight of the KL to the stage-2 model.")
    inner_updates: int = Field(2, ge=1, description="Updates on each group of samples.")
    negatives: int = Field(100, ge=1, description="Negatives of the rank reward.")
    learning_rate: float = Field(3e-5, gt=0)
    validate_every: int = Field(20, ge=1)
    rewards: RewardConfig = RewardConfig()


class RunConfig(StrictModel):
    """Everything that shapes a run besides its input files and its seed."""

    data: DataConfig = DataConfig()
    items: ItemsConfig = ItemsConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    model: ModelConfig = ModelConfig()
    deliberation: DeliberationConfig = DeliberationConfig()
    stage1: Stage1Config = Stage1Config()
    stage2: Stage2Config = Stage2Config()
    deliberate: DeliberateConfig = DeliberateConfig()
    stage3: Stage3Config = Stage3Config()
    inference: InferenceConfig = InferenceConfig()


def load_config(path: Path | None) -> RunConfig:
    """Read a TOML configuration; the defaults where no file is given.

    Raises:
        ConfigError: the file cannot be read, or some keys or values are wrong (all are named).
    """
    if path is None:
        return RunConfig()
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        settings = with_preset(tomllib.loads(text))
        config = RunConfig.model_validate(merged(RunConfig().model_dump(), settings))
    except OSError as error:
        raise ConfigError(
            f"configuration {path} cannot be read: {error.strerror}; check the path"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"configuration {path} is not valid TOML: {error}{_line(text, error)}"
        ) from error
    except ValidationError as error:
        problems = problems_of(error, RunConfig, values=True)
        raise ConfigError(f"configuration {path}: {problems}") from error
    except ValueError as error:
        raise ConfigError(f"configuration {path}: {error}") from error
    if (deepest := max(dict(config.inference.efforts).values())) > config.model.max_steps:
        raise ConfigError(
            f"configuration {path}: inference.efforts asks for {deepest} steps, "
            f"model.max_steps allows {config.model.max_steps}"
        )
    return config


def _line(text: str, error: ValueError) -> str:
    """The line that an error of tomllib names, to be read behind it; empty where it names none."""
    named = re.search(r"at line (\d+)", str(error))
    return f": {text.splitlines()[int(named[1]) - 1].strip()}" if named else ""
