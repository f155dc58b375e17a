"""Micro-batching: what waits together is answered together, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

from service.errors import OverloadedError

Query = TypeVar("Query")
Answer = TypeVar("Answer")
_Waiting = tuple[Query, asyncio.Future[Answer]]


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
        self._queue_size = queue_size
        self._max_batch = max_batch
        self._queue: SimpleQueue[_Waiting[Query, Answer] | None] = SimpleQueue()
        self._answered: deque[tuple[asyncio.Future[Answer], Answer]] = deque()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    @property
    def depth(self) -> int:
        """Requests that wait now."""
        return self._queue.qsize()

    async def start(self) -> None:
        """Begin to answer; needs a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Answer everything that waits, then end."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    async def submit(self, query: Query) -> Answer:
        """The answer to one query.

        Raises:
            OverloadedError: the queue is full.
        """
        if self._queue.qsize() >= self._queue_size:
            raise OverloadedError("too many requests wait for the model; try again shortly")
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._queue.put((query, future))
        return await future

    def _run(self) -> None:
        last = False
        while not last:
            waiting = [self._queue.get()]
            while len(waiting) < self._max_batch and not self._queue.empty():
                waiting.append(self._queue.get())
            last = None in waiting
            # A caller that went away has cancelled its future.
            wanted = [entry for entry in waiting if entry is not None and not entry[1].done()]
            if wanted:
                self._answer(wanted)

    def _answer(self, batch: list[_Waiting[Query, Answer]]) -> None:
        tell = self._loop.call_soon_threadsafe
        left = dict(enumerate(batch))
        fault: Exception = RuntimeError("the model gave this query no answer")
        try:
            for place, answer in self._answer_all([query for query, _ in batch]):
                self._answered.append((left.pop(place)[1], answer))
                # Waking the event loop costs a system call and the interpreter's lock: once for all
                # answers that come in a row.
                if len(self._answered) == 1:
                    tell(self._resolve)
        except Exception as error:
            fault = error
        for _, future in left.values():
            tell(_fail, future, fault)

    def _resolve(self) -> None:
        while self._answered:
            future, answer = self._answered.popleft()
            if not future.done():
                future.set_result(answer)


def _fail(future: asyncio.Future[Answer], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
