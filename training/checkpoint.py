"""Checkpoints: tensors as safetensors, everything else as readable JSON; nothing is ever unpickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model_export.contract.errors import RunError
from model_export.contract.files import atomic_path
from training import distributed


def save_weights(path: Path, module: nn.Module) -> None:
    """Write all parameters and buffers of a module, in the first process."""
    if not distributed.is_first():
        return
    with atomic_path(path) as partial:
        save_file({k: v.contiguous() for k, v in module.state_dict().items()}, partial)


def load_weights(path: Path, module: nn.Module) -> None:
    """Read what `save_weights` wrote.

    Raises:
        RunError: the file is missing or does not fit the module.
    """
    try:
        module.load_state_dict(load_file(path))
    except Exception as error:  # safetensors and torch raise unrelated types for a torn file
        raise RunError(
            f"the weights {path} cannot be used: {error}; delete {path.parent} and train again"
        ) from error


def save_progress(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]
) -> None:
    """Write weights, optimizer state and progress as one file, so that they can never disagree.

    Only the first process writes.
    """
    if not distributed.is_first():
        return
    tensors = {f"model.{name}": value.contiguous() for name, value in module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    with atomic_path(path) as partial:
        save_file(tensors, partial, metadata={"progress": json.dumps(progress)})


def load_progress(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Restore what `save_progress` wrote; None where nothing was begun.

    Raises:
        RunError: the file is damaged or does not fit the module.
    """
    if not path.is_file():
        return None
    try:
        weights, states, progress = _read_progress(path)
        module.load_state_dict(weights)
        optimizer.load_state_dict(
            {"state": states, "param_groups": optimizer.state_dict()["param_groups"]}
        )
    except Exception as error:  # as in `load_weights`
        raise RunError(
            f"{path} cannot be used: {error}; delete it to begin this step again"
        ) from error
    return progress


def _read_progress(
    path: Path,
) -> tuple[dict[str, Tensor], dict[int, dict[str, Tensor]], dict[str, Any]]:
    weights: dict[str, Tensor] = {}
    states: dict[int, dict[str, Tensor]] = {}
    with safe_open(path, "pt") as file:
        progress: dict[str, Any] = json.loads(file.metadata()["progress"])
        for key in file.keys():  # noqa: SIM118 - not a dict
            kind, name = key.split(".", 1)
            if kind == "model":
                weights[name] = file.get_tensor(key)
            else:
                index, part = name.split(".", 1)
                states.setdefault(int(index), {})[part] = file.get_tensor(key)
    return weights, states, progress
