"""CPU threads of torch."""

from __future__ import annotations

import os


def load_torch() -> None:
    """Import torch so that its threads sleep while they wait.

    By default they spin, and two processes on the same cores hold each other up for minutes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch  # noqa: F401
