"""Tasks that run beside the requests."""

from __future__ import annotations

import asyncio

_AGAIN_SECONDS = 0.5


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait until they have ended.

    Again and again: a library may swallow a cancellation, as `asyncio.wait_for` of Python 3.11 does with
    one that comes as it finishes.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_SECONDS)
