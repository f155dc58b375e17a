"""What the system says of processes that tests start."""

from __future__ import annotations

import os


def runs(process_id: int) -> bool:
    """Whether a process is there; of a negative number, whether one of that group is."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True
