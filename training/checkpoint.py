"""Checkpoints: tensors as safetensors, everything else as readable JSON; nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model_export.contract.errors import RunError
from model_export.contract.files import atomic_path
from training import distributed


class Course:
    """How far a stage has come, kept in its folder: the best weights, and all that it takes to go on.

    Args:
        folder: is created where it does not exist.
        model: gets the weights with which to go on, if the stage was begun before.
        optimizer: gets its state likewise.
        begin: the state of a stage that was not begun; what validation says then is "best".

    Attributes:
        state: "best" and "history" beside what the stage counts.

    Raises:
        RunError: what was begun is damaged or does not fit the model.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        begin: Callable[[], dict[str, Any]],
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._best, self._progress = folder / "best.safetensors", folder / "progress.safetensors"
        self._model = model
        self._optimizer = optimizer
        begun = load_progress(self._progress, model, optimizer)
        if begun is None:
            begun = begin() | {"history": []}
            save_weights(self._best, model)
        self.state: dict[str, Any] = begun

    def keep(self, record: dict[str, Any], objective: float | None, **if_best: int) -> None:
        """Save where the stage stands now, and its weights if they are the best.

        Args:
            record: is added to the history.
            objective: what validation says; None where there is none, and the last weights are the best.
            if_best: joins the state if these are the best weights.
        """
        self.state["history"].append(record)
        if objective is None or objective > self.state["best"]:
            self.state |= {"best": objective, **if_best}
            save_weights(self._best, self._model)
        save_progress(self._progress, self._model, self._optimizer, self.state)

    def finish(self) -> list[dict[str, Any]]:
        """Put the best weights in the model; returns the history."""
        distributed.wait()
        load_weights(self._best, self._model)
        history: list[dict[str, Any]] = self.state["history"]
        return history


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
