"""The direction of imports, as pyproject.toml states it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_imports_go_one_way() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([program, "--no-cache"], cwd=ROOT, text=True, capture_output=True)
    assert result.returncode == 0, result.stdout


def test_nothing_is_ever_unpickled() -> None:
    """Weights are safetensors, tables .npy without objects, everything else JSON."""
    loaders = re.compile(
        r"\b(import|from) (pickle|cloudpickle|dill|joblib(?! import cpu_count)|shelve|marshal)\b|"
        r"torch\.load|allow_pickle=True|yaml\.(unsafe_)?load\b|\beval\(|\bexec\("
    )
    loads = re.compile(r"np\.load\(([^)]*)\)", re.S)
    for package in ("service", "training", "model_export", "streamrec", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            code = path.read_text(encoding="utf-8")
            assert not loaders.search(_without_model_eval(code)), path
            for arguments in loads.findall(code):
                assert "allow_pickle=False" in arguments, path


def _without_model_eval(code: str) -> str:
    """`module.eval()` of torch runs nothing, and `redis.eval` runs in Redis."""
    return re.sub(r"\.eval\(", "", code)
