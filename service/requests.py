"""How many requests still need something."""

from __future__ import annotations

import asyncio


class RunningRequests:
    """Counts the requests that use a model: each enters and leaves as a context."""

    def __init__(self) -> None:
        self._running = 0
        self._none = asyncio.Event()
        self._none.set()

    def __enter__(self) -> None:
        self._running += 1
        self._none.clear()

    def __exit__(self, *_: object) -> None:
        self._running -= 1
        if not self._running:
            self._none.set()

    async def ended(self) -> None:
        """Return once there is none."""
        await self._none.wait()
