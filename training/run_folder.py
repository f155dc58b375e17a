"""One directory per run: where each step writes, and whether it still holds.

Every step has a folder with `step.json`: the fingerprint of all that it was made from, its metrics and its
seconds. A step whose fingerprint has not changed is skipped; a step that was interrupted goes on from what
its folder holds; anything else in its folder is thrown away first, and later steps count as unfinished, so
that nobody evaluates or exports what was made from another past.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model_export.contract.config import StrictModel
from model_export.contract.errors import BundleError, RunError
from model_export.contract.files import read_json, write_json
from model_export.contract.validation import problems_of
from training import distributed
from training.args import RunConfig
from training.steps import STEPS, StepName

CODE_VERSION = 8
"""Raised whenever a step's code changes what it would write."""


class About(StrictModel):
    """What a run was asked for, as its run.json says."""

    seed: int
    interactions: str
    items: str | None
    config: RunConfig


class RunFolder:
    """A run directory.

    Args:
        path: is created where it does not exist.
        tell: is called with one line for every step that is skipped, begun or resumed.
    """

    def __init__(self, path: Path, tell: Callable[[str], None] = print) -> None:
        self.path = path
        self.tell = tell

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other trainers out of the directory, which is created; it goes again if left empty.

        Raises:
            RunError: another process trains there, or it is a bundle.
        """
        if (self.path / "manifest.json").exists():
            raise RunError(
                f"{self.path} is a bundle, and the next export would replace all that is in it; "
                "give another --run"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise RunError(
                f"another process is training in {self.path}; wait for it, or give another --run"
            ) from error
        finally:
            os.close(descriptor)
            with suppress(OSError):
                self.path.rmdir()

    def about(self) -> About:
        """What the run was asked for.

        Raises:
            RunError: there is no run, or its run.json is damaged.
        """
        file = self.path / "run.json"
        try:
            return About.model_validate_json(file.read_bytes())
        except OSError as error:
            raise RunError(f"{self.path} is not a run; make one with `streamrec train`") from error
        except ValidationError as error:
            problems = problems_of(error, About, "content", values=True)
            raise RunError(f"{file} is damaged ({problems}); train again") from error

    def folder(self, step: StepName) -> Path:
        """Where a step writes."""
        return self.path / step

    def record(self, step: StepName) -> dict[str, Any]:
        """What a finished step wrote down.

        Raises:
            RunError: the step has not been finished here.
            OSError: whether it has cannot be read.
        """
        try:
            text = (self.folder(step) / "step.json").read_text(encoding="utf-8")
            record: dict[str, Any] = json.loads(text)
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            raise RunError(
                f"{self.path} has no finished step {step!r}; run `streamrec train` to the end first"
            ) from error
        return record

    def finished(self, step: StepName) -> bool:
        """Whether a step has been finished here, with any settings.

        Raises:
            OSError: that cannot be read; a finished step must not be thrown away for it.
        """
        try:
            self.record(step)
        except RunError:
            return False
        return True

    @contextmanager
    def reading(self, step: StepName) -> Iterator[Path]:
        """Where a finished step has written; to be read within this context.

        Raises:
            RunError: the step has not been finished here, or what it left is damaged.
        """
        self.record(step)
        folder = self.folder(step)
        try:
            yield folder
        except (OSError, EOFError, ValueError, KeyError, TypeError, BundleError) as error:
            reason = str(error).partition("\n")[0]
            raise RunError(
                f"what {step} left cannot be read ({reason}); delete {folder} and train again"
            ) from error

    def holds(self, step: StepName, settings: Any, needs: Sequence[StepName]) -> bool:
        """Whether `do` would skip the step.

        Raises:
            RunError: a step that it needs has not been finished here.
        """
        fingerprint = self._fingerprint(settings, needs)
        return self.finished(step) and self.record(step)["fingerprint"] == fingerprint

    def _fingerprint(self, settings: Any, needs: Sequence[StepName]) -> str:
        made_from = [CODE_VERSION, settings, [self.record(name)["fingerprint"] for name in needs]]
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()

    def _forget_from(self, step: StepName) -> None:
        """Throw away a step's folder, and the records of later steps, which were made from it.

        The records go first: a removal that is interrupted must not leave one beside half a folder.
        """
        for later in STEPS[STEPS.index(step) :]:
            (self.folder(later) / "step.json").unlink(missing_ok=True)
        (self.folder(step) / "begun.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder(step), ignore_errors=True)

    def do(
        self,
        step: StepName,
        settings: Any,
        needs: Sequence[StepName],
        work: Callable[[Path], dict[str, Any]],
        *,
        alone: bool = False,
    ) -> None:
        """Run a step unless it is there already.

        Args:
            settings: JSON-like; all that shapes the step besides the steps that it needs.
            work: gets the step's folder and returns its metrics.
            alone: the first process works, the others wait for it.
        """
        if distributed.from_first(lambda: self.holds(step, settings, needs)):
            self.tell(f"{step}: unchanged, skipped")
            return
        folder, fingerprint = self.folder(step), self._fingerprint(settings, needs)
        begun = folder / "begun.json"
        if distributed.is_first():
            self._begin(step, fingerprint, settings)
        distributed.wait()
        began = time.perf_counter()
        metrics = work(folder) if distributed.is_first() or not alone else {}
        seconds = time.perf_counter() - began
        if distributed.is_first():
            write_json(
                folder / "step.json",
                {
                    "fingerprint": fingerprint,
                    "seconds": round(seconds, 1),
                    "settings": settings,
                    "metrics": metrics,
                },
            )
            begun.unlink()
        distributed.wait()

    def _begin(self, step: StepName, fingerprint: str, settings: Any) -> None:
        """Go on with what was begun with the same fingerprint, or begin anew."""
        folder = self.folder(step)
        begun = folder / "begun.json"
        remedy = f"delete {folder} and train again"
        if begun.is_file() and read_json(begun, remedy)["fingerprint"] == fingerprint:
            self.tell(f"{step}: resumed")
        else:
            why = self._what_changed(step, settings)
            self._forget_from(step)
            folder.mkdir(parents=True)
            write_json(begun, {"fingerprint": fingerprint})
            self.tell(f"{step}: {why}started")

    def _what_changed(self, step: StepName, settings: Any) -> str:
        """Why a finished step does not hold any more; empty where there is none."""
        if not self.finished(step):
            return ""
        before, now = _by_name(self.record(step).get("settings")), _by_name(settings)
        changed = [
            name for name in {**now, **before} if before.get(name, name) != now.get(name, name)
        ]
        # Had a step that it needs changed, that one would have forgotten this one.
        told = dict.fromkeys(name for _, name in changed) or ["the code"]
        return f"{', '.join(told)} changed, "


def _by_name(settings: Any) -> dict[tuple[int, str], Any]:
    """Settings of a step by place and name."""
    found: dict[tuple[int, str], Any] = {}

    def collect(place: int, name: str, part: Any) -> None:
        if isinstance(part, dict):
            for key, value in part.items():
                collect(place, f"{name}.{key}" if name else key, value)
        else:
            found[place, name or "a setting"] = part

    plain = json.loads(json.dumps(settings))
    for place, part in enumerate(plain if isinstance(plain, list) else [plain]):
        collect(place, "", part)
    return found
