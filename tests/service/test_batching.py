"""The micro-batching queue."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from service.batching import MicroBatcher
from service.errors import OverloadedError


class Doubler:
    """Doubles numbers, but only once it may."""

    def __init__(self) -> None:
        self.may_run = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
        self.may_run.wait(10)
        self.batches.append(list(numbers))
        if -1 in numbers:
            raise ZeroDivisionError
        for place in reversed(range(len(numbers))):
            yield place, 2 * numbers[place]


def test_what_waits_together_is_answered_together_and_in_order() -> None:
    async def run() -> None:
        double = Doubler()
        batcher = MicroBatcher(double, queue_size=8, max_batch=3)
        await batcher.start()
        first = asyncio.create_task(batcher.submit(0))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batcher.submit(number)) for number in range(1, 6)]
        await asyncio.sleep(0)
        assert batcher.depth == 5
        double.may_run.set()
        assert await asyncio.gather(first, *others) == [0, 2, 4, 6, 8, 10]
        assert double.batches == [[0], [1, 2, 3], [4, 5]]
        await batcher.stop()

    asyncio.run(run())


def test_a_full_queue_refuses_at_once_and_recovers() -> None:
    async def run() -> None:
        double = Doubler()
        batcher = MicroBatcher(double, queue_size=2, max_batch=2)
        await batcher.start()
        running = asyncio.create_task(batcher.submit(0))
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(batcher.submit(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await batcher.submit(3)
        double.may_run.set()
        await asyncio.gather(running, *waiting)
        assert await batcher.submit(4) == 8
        await batcher.stop()

    asyncio.run(run())


def test_callers_that_left_are_not_computed_for() -> None:
    async def run() -> None:
        double = Doubler()
        batcher = MicroBatcher(double, queue_size=8, max_batch=8)
        await batcher.start()
        first = asyncio.create_task(batcher.submit(0))
        await asyncio.sleep(0.05)
        leaving, staying = (asyncio.create_task(batcher.submit(number)) for number in (1, 2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        double.may_run.set()
        assert await asyncio.gather(first, staying) == [0, 4]
        assert double.batches == [[0], [2]]
        await batcher.stop()

    asyncio.run(run())


def test_a_fault_reaches_its_callers_and_the_next_batch_is_answered() -> None:
    async def run() -> None:
        double = Doubler()
        double.may_run.set()
        batcher = MicroBatcher(double, queue_size=8, max_batch=8)
        await batcher.start()
        with pytest.raises(ZeroDivisionError):
            await batcher.submit(-1)
        assert await batcher.submit(1) == 2
        await batcher.stop()

    asyncio.run(run())


def test_a_query_without_an_answer_is_a_fault_of_its_own() -> None:
    async def run() -> None:
        batcher = MicroBatcher(
            lambda numbers: ((place, n) for place, n in enumerate(numbers) if n),
            queue_size=8,
            max_batch=8,
        )
        await batcher.start()
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(
                *(batcher.submit(number) for number in (0, 1)), return_exceptions=True
            )
        assert isinstance(outcomes[0], RuntimeError)
        assert outcomes[1] == 1
        await batcher.stop()

    asyncio.run(run())


def test_stopping_answers_what_waits() -> None:
    async def run() -> None:
        double = Doubler()
        batcher = MicroBatcher(double, queue_size=8, max_batch=1)
        await batcher.start()
        tasks = [asyncio.create_task(batcher.submit(number)) for number in range(4)]
        await asyncio.sleep(0)
        double.may_run.set()
        await batcher.stop()
        assert await asyncio.gather(*tasks) == [0, 2, 4, 6]

    asyncio.run(run())
