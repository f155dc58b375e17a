"""Processes in which some packages cannot be imported, as if they were not installed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path


def blocking(folder: Path, packages: Iterable[str]) -> dict[str, str]:
    """Environment variables for a subprocess in which importing any of the packages fails."""
    code = f"""
        import sys
        BLOCKED = {sorted(packages)!r}

        class Blocker:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in BLOCKED:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

        sys.meta_path.insert(0, Blocker())
    """
    (folder / "sitecustomize.py").write_text(textwrap.dedent(code))
    return {"PYTHONPATH": str(folder)}
