"""Processes in which some packages cannot be imported, as if they were not installed."""

from __future__ import annotations

import os
import subprocess
import sys
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
    given = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *([given] if given else [])])}


def imported_by(module: str, packages: Iterable[str]) -> set[str]:
    """Those of the packages that a new process has imported once it has imported a module."""
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(packages) & set(done.stdout.split())
