"""Micro-batching: what waits together is answered together, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, TypeVar

from service.errors import OverloadedError

Query = TypeVar("Query")
Answer = TypeVar("Answer")


class MicroBatcher(Generic[Query, Answer]):
    """A bounded queue in front of one worker thread.

    The worker takes whatever is queued, up to `max_batch`, without waiting for more: batches grow
    under load and a lone request is never delayed.

    Args:
        answer_all: yields the place and the answer of each query of a batch, as soon as it has it;
            runs in the worker thread.
        queue_size: requests that may wait; one more is refused at once.
        max_batch: requests that are answered together.
    """

    def __init__(
        self,
        answer_all: Callable[[Sequence[Query]], Iterable[tuple[int, Answer]]],
        queue_size: int,
        max_batch: int,
    ) -> None:
        self._answer_all = answer_all
        self._max_batch = max_batch
        self._queue: asyncio.Queue[tuple[Query, asyncio.Future[Answer]]] = asyncio.Queue(queue_size)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._task: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """Requests that wait now."""
        return self._queue.qsize()

    async def start(self) -> None:
        """Begin to answer; needs a running event loop."""
        self._task = asyncio.create_task(self._run(), name="micro-batcher")

    async def stop(self) -> None:
        """Answer everything that waits, then end."""
        await self._queue.join()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._thread.shutdown()

    async def submit(self, query: Query) -> Answer:
        """The answer to one query.

        Raises:
            OverloadedError: the queue is full.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((query, future))
        except asyncio.QueueFull:
            raise OverloadedError(
                "too many requests wait for the model; try again shortly"
            ) from None
        return await future

    async def _run(self) -> None:
        while True:
            waiting = [await self._queue.get()]
            while len(waiting) < self._max_batch and not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            # A caller that went away has cancelled its future.
            wanted = [(query, future) for query, future in waiting if not future.done()]
            if wanted:
                await self._answer(wanted)
            for _ in waiting:
                self._queue.task_done()

    async def _answer(self, batch: list[tuple[Query, asyncio.Future[Answer]]]) -> None:
        loop = asyncio.get_running_loop()

        def run() -> None:
            for place, answer in self._answer_all([query for query, _ in batch]):
                loop.call_soon_threadsafe(_resolve, batch[place][1], answer)

        try:
            await loop.run_in_executor(self._thread, run)
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)


def _resolve(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)
