from __future__ import annotations

import asyncio
from contextlib import suppress

from service.background import end


async def _deaf(times: int) -> None:
    """Swallows some cancellations."""
    for _ in range(times):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
    await asyncio.sleep(60)


def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    async def scenario() -> None:
        tasks = [asyncio.create_task(_deaf(times)) for times in (0, 1)]
        await asyncio.sleep(0)
        await asyncio.wait_for(end(*tasks), 10)
        assert all(task.cancelled() for task in tasks)

    asyncio.run(scenario())


def test_a_task_that_has_ended_already_is_no_trouble() -> None:
    async def scenario() -> None:
        task = asyncio.create_task(asyncio.sleep(0))
        await task
        await end(task)

    asyncio.run(scenario())
