"""Keeps the items of one process in step with Redis, and Redis with what it learns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from service.errors import ConflictError, StoreError
from service.live.changes import Change
from service.live.items import LiveItems
from service.model import LoadedModel
from service.settings import Settings
from service.stores.connection import Connection
from service.stores.items import Changes, ItemStore
from service.stores.marks import LostDataError, Position
from service.stores.memory import Followers, MemoryStore

_SECONDS = 1.0
"""Between looks at Redis."""
_ITEMS_AT_ONCE = 500
"""Items whose followers are taken in at one look."""
_SHOWN_SECONDS = 5.0
"""After this long what was taken in is shown, though there is more to come."""
_CATCH_UP_SECONDS = 0.1
"""Between looks while there is more than that; requests shall not wait for it."""
_OUTDATED = 1_000
"""Rows without an item that are borne, and as many as there are live ones, before all are laid out anew."""

log = structlog.get_logger("streamrec.live")


class LiveSync:
    """Follows changes of items and what follows what.

    Args:
        items: where changes of items are stored.
        memory: where followers are counted; None where nothing is learnt from events.
        limit: items that may be added to those of a bundle.
        model: the model in use.
    """

    def __init__(
        self,
        items: ItemStore,
        memory: MemoryStore | None,
        limit: int,
        model: Callable[[], LoadedModel],
    ) -> None:
        self._in_use = model
        self._items = items
        self._memory = memory
        self._limit = limit
        self._live: LiveItems | None = None
        self._model: LoadedModel | None = None
        self._read: tuple[Position | None, Position | None] = None, None
        self._told = ""
        self._shown = time.monotonic()
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    def of(
        cls, connection: Connection, settings: Settings, model: Callable[[], LoadedModel]
    ) -> LiveSync:
        """As the settings say."""
        memory = MemoryStore(
            connection,
            settings.memory_half_life,
            settings.memory_followers,
            settings.memory_items,
        )
        limit = settings.max_added_items
        learns = settings.learn_from_events
        return cls(ItemStore(connection, limit), memory if learns else None, limit, model)

    async def run(self) -> None:
        """Follow for as long as the task is not cancelled."""
        more = False
        while True:
            await asyncio.sleep(_CATCH_UP_SECONDS if more else _SECONDS)
            try:
                await self._send()
            except StoreError:
                pass  # which the look meets too, and says
            except Exception:
                log.exception("what was learnt could not be sent")
            more = await self.try_refresh(self._in_use())

    async def stop(self) -> None:
        """Let Redis have what was learnt last."""
        with suppress(StoreError):
            await self._send()

    async def _send(self) -> None:
        if self._memory:
            await self._memory.send()

    def learn(self, before: list[str], new: list[str]) -> None:
        """Learn from new events of one user; only of items that exist.

        Args:
            before: the user's items until then, oldest first.
            new: the items of the events.
        """
        if self._memory:
            model = self._in_use()
            known, seen = (
                [item for item in items if model.items.catalog.row(item) is not None]
                for items in (new, before)
            )
            self._memory.learn(seen, known, model.bundle.manifest.evidence)

    async def change(
        self, model: LoadedModel, item_id: str, decide: Callable[[Change | None], Change | None]
    ) -> None:
        """Store a change of an item, see `ItemStore.change`, and take it in at once.

        Raises:
            ConflictError: it cannot be done as things stand.
            StoreError: Redis does not answer.
        """
        added = model.bundle.catalog.row(item_id) is None
        possible = not added or await self._can_place(model)

        def decide_possible(stored: Change | None) -> Change | None:
            after = decide(stored)
            if after and not possible:
                raise ConflictError("the model in use cannot place new items; export it again")
            return after

        await self._items.change(item_id, decide_possible, added=added)
        await self.refresh(model)

    async def _can_place(self, model: LoadedModel) -> bool:
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._of(model).can_place)

    async def try_refresh(self, model: LoadedModel) -> bool:
        """`refresh`, where a failure is said once and not raised."""
        try:
            more = await self.refresh(model)
        except StoreError as error:
            if self._told != str(error):
                log.warning("changes of items are not taken in", reason=str(error))
            self._told = str(error)
        except Exception as error:
            if self._told != repr(error):
                log.exception("changes of items could not be taken in")
            self._told = repr(error)
        else:
            self._told = ""
            return more
        return False

    async def refresh(self, model: LoadedModel) -> bool:
        """Give `model` the items as they are now, and some of what followed them; whether there is more.

        Raises:
            StoreError: Redis does not answer.
        """
        async with self._one_at_a_time:
            live = self._of(model)
            try:
                changes, position, followers = await self._new()
            except LostDataError:
                live = self._begin(model)
                changes, position, followers = await self._new()
            items = changes.items
            if items or followers:
                await asyncio.to_thread(live.take_in, items, followers)
            self._read = changes.position, position
            more = len(followers) == _ITEMS_AT_ONCE
            # A backlog may never end, and what is taken in must be seen all the same.
            overdue = time.monotonic() - self._shown > _SHOWN_SECONDS
            if live.ahead and (items or not more or overdue):
                model.items = await asyncio.to_thread(live.freeze)
                self._shown = time.monotonic()
            await self._tidy_up(live, items)
            return more

    def _of(self, model: LoadedModel) -> LiveItems:
        if self._live is None or self._model is not model or self._crowded(self._live):
            return self._begin(model)
        return self._live

    def _begin(self, model: LoadedModel) -> LiveItems:
        self._live = LiveItems(model.bundle, model.trained_items, self._limit)
        self._live.ahead = model.items is not model.trained_items
        self._model = model
        self._read = None, None
        return self._live

    def _crowded(self, live: LiveItems) -> bool:
        return live.outdated_rows > _OUTDATED + len(live.snapshot.catalog) // 2

    async def _new(self) -> tuple[Changes, Position | None, dict[str, Followers]]:
        read_items, read_memory = self._read
        changes = await self._items.since(read_items)
        if self._memory is None:
            return changes, None, {}
        return changes, *await self._memory.since(read_memory, _ITEMS_AT_ONCE)

    async def _tidy_up(self, live: LiveItems, changes: dict[str, Change | None]) -> None:
        """Items that were added once and are in the bundle by now do not count as added any more; and
        nobody needs changes of items that no bundle has had for long.
        """
        made = {item_id: change for item_id, change in changes.items() if change}
        trained = [item_id for item_id in made if live.trained(item_id)]
        vanished = [
            item_id
            for item_id, change in made.items()
            if change.kind != "put" and not live.trained(item_id)
        ]
        with suppress(StoreError):
            if trained:
                await self._items.absorb(trained)
            await self._items.forget(vanished)
