"""How torch is loaded."""

from __future__ import annotations

import os


def load_torch() -> None:
    """Import torch so that its threads sleep while they wait, and that it keeps its advice to itself.

    By default they spin, and two processes on the same cores hold each other up for minutes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    import torch  # noqa: F401
