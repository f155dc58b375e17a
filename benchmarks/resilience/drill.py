"""What a drill is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


class SkippedError(Exception):
    """The machine lacks what a drill needs."""


@dataclass
class Finding:
    """What one drill measured.

    Attributes:
        held: whether the promise was kept.
        figure: what was measured, in a few words.
        details: the same as numbers.
    """

    held: bool
    figure: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """What every drill may use.

    Attributes:
        folder: scratch space of one drill.
        bundles: two bundles of different models for one shop.
        shop: folder with interactions.csv and items.csv.
        trained: the run that the first bundle was exported from.
        soak_minutes: how long the soak lasts.
    """

    folder: Path
    bundles: tuple[Path, Path]
    shop: Path
    trained: Path
    soak_minutes: float


@dataclass(frozen=True)
class Drill:
    """One row of docs/reliability.md.

    Attributes:
        name: selects it on the command line.
        fault: or attack.
        promise: what holds all the same.
        run: tries it.
        tested: how, where that is not the drill itself.
    """

    name: str
    fault: str
    promise: str
    run: Callable[[World], Finding]
    tested: str = ""

    def row(self, finding: Finding | None, note: str = "") -> dict[str, Any]:
        """The row as JSON; without a finding it was skipped, for the reason in `note`."""
        described = {
            "name": self.name,
            "fault": self.fault,
            "promise": self.promise,
            "tested": self.tested or f"drill `{self.name}`",
        }
        found = asdict(finding) if finding else {"held": None, "figure": note, "details": {}}
        return described | found


DRILLS: dict[str, Drill] = {}


def drill(
    name: str, fault: str, promise: str
) -> Callable[[Callable[[World], Finding]], Callable[[World], Finding]]:
    """Register a function as a drill."""

    def register(run: Callable[[World], Finding]) -> Callable[[World], Finding]:
        DRILLS[name] = Drill(name, fault, promise, run)
        return run

    return register
