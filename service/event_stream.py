"""Events that arrive by a Redis stream, taken in by a consumer group that all workers share.

    XADD streamrec:events MAXLEN ~ 1000000 * event '{"user_id": "u-1", "item_id": "camera-017"}'

The field `event` holds what POST /events takes. Delivery is at least once: an entry is acknowledged
after it was stored, and what a worker that died had not stored goes to another one. It is stored once,
under its `event_id` or else the id of its entry. A wrong entry is logged, counted and acknowledged.
Events of one user keep the order of the stream as long as one worker consumes it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from typing import Any

import structlog
from pydantic_core import from_json
from redis.exceptions import ResponseError

from service.api.schemas import Event
from service.errors import StoreError
from service.intake import take_in
from service.settings import Settings
from service.state import ServiceState

log = structlog.get_logger("streamrec")

_AT_ONCE = 200
_COUNTED = 10_000
"""A server before Redis 7 does not tell the lag; up to so many entries are counted."""
_ABANDONED_MS = 30_000
"""An entry that a worker has held for so long is taken over."""
_BACKOFF = 1.0

Entry = tuple[bytes, dict[bytes, bytes]]


class EventStream:
    """One worker's consumer.

    Args:
        service: where the events go.
        settings: with `event_stream` set.
    """

    def __init__(self, service: ServiceState, settings: Settings) -> None:
        self._service = service
        self._stream = settings.event_stream
        self._group = settings.event_group
        self._consumer = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        # A call that waits for entries must end before the connection is given up.
        self._block_ms = max(1, int(500 * settings.redis_timeout))
        self._looked_for_abandoned = 0.0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to consume."""
        self._task = asyncio.create_task(self._run(), name="event-stream")

    async def stop(self) -> None:
        """Store what has been read, then end."""
        self._stopping = True
        if self._task:
            await self._task

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self._join()
                await self._consume("0")  # what was read before an error and not stored
                while not self._stopping:
                    await self._take_over()
                    await self._consume(">")
                    await self._measure()
                await self._leave()
            except StoreError:
                log.warning("the event stream cannot be read; trying again", stream=self._stream)
                await asyncio.sleep(_BACKOFF)
            except Exception:
                log.exception("the event stream could not be taken in; trying again")
                await asyncio.sleep(_BACKOFF)

    async def _join(self) -> None:
        async with self._service.connection.calls() as redis:
            try:
                await redis.xgroup_create(self._stream, self._group, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def _consume(self, after: str) -> None:
        """Store one batch: new entries (">") or all of our own that are not acknowledged ("0")."""
        async with self._service.connection.calls() as redis:
            found: Any = await redis.xreadgroup(
                self._group, self._consumer, {self._stream: after}, count=_AT_ONCE,
                block=self._block_ms,
            )  # fmt: skip
        entries = found.values() if isinstance(found, dict) else [part for _, part in found or []]
        for part in entries:
            # RESP3 wraps the entries of each stream in one more list.
            await self._store(part[0] if part and isinstance(part[0], list) else part)

    async def _take_over(self) -> None:
        """Now and then, store what a worker that is gone had read."""
        now = time.monotonic()
        if now - self._looked_for_abandoned < _ABANDONED_MS / 1000:
            return
        async with self._service.connection.calls() as redis:
            _, entries, *_ = await redis.xautoclaim(
                self._stream, self._group, self._consumer, _ABANDONED_MS, count=_AT_ONCE
            )
        await self._store(entries)
        if len(entries) < _AT_ONCE:
            self._looked_for_abandoned = now

    async def _store(self, entries: list[Entry]) -> None:
        if not entries:
            return
        events = {entry_id: self._read(entry_id, fields) for entry_id, fields in entries if fields}
        receipt = await take_in([*events.values()], self._service)
        for wrong in receipt.rejected:
            entry_id = [*events][wrong.index].decode()
            log.warning(
                "wrong event in the stream",
                stream=self._stream, entry=entry_id, problem=wrong.problem,
            )  # fmt: skip
        async with self._service.connection.calls() as redis:
            await redis.xack(self._stream, self._group, *(entry_id for entry_id, _ in entries))

    def _read(self, entry_id: bytes, fields: dict[bytes, bytes]) -> object:
        """The event of an entry, or what stands in its place."""
        said: object = fields.get(b"event", b"").decode(errors="replace")
        try:
            said = from_json(fields.get(b"event", b""))
            event = Event.model_validate(said)
        except ValueError:  # no JSON, or no event
            return said
        event_id = event.event_id or f"{self._stream}:{entry_id.decode()}"
        return event.model_copy(update={"event_id": event_id})

    async def _measure(self) -> None:
        async with self._service.connection.calls() as redis:
            groups: Any = await redis.xinfo_groups(self._stream)
            group = next(group for group in groups if _text(group["name"]) == self._group)
            lag = group.get("lag")
            if lag is None:
                last = _text(group["last-delivered-id"])
                lag = len(await redis.xrange(self._stream, min=f"({last}", count=_COUNTED))
        self._service.metrics.stream_lag.set(lag)
        self._service.metrics.stream_pending.set(group["pending"])

    async def _leave(self) -> None:
        """Leave the group; whatever we read is stored by now."""
        async with self._service.connection.calls() as redis:
            await redis.xgroup_delconsumer(self._stream, self._group, self._consumer)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
