"""Keeps the items of one process in step with Redis, and Redis with what it learns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from model_export.contract.errors import BundleError
from service.errors import ConflictError, StoreError
from service.live.changes import Change
from service.live.items import LiveItems
from service.model import LoadedModel
from service.settings import Settings
from service.stores.connection import Connection
from service.stores.items import ItemStore
from service.stores.memory import Followers, MemoryStore

_SECONDS = 1.0
"""Between looks at Redis."""
_ITEMS_AT_ONCE = 500
"""Items whose followers are taken in at one look."""
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
        self._versions = {"items": 0.0, "memory": 0.0}
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
        told = ""
        while True:
            await asyncio.sleep(_SECONDS)
            try:
                if self._memory:
                    await self._memory.send()
                await self.refresh(self._in_use())
                told = ""
            except (StoreError, BundleError) as error:
                if str(error) != told:
                    log.warning("changes of items are not taken in", reason=str(error))
                told = str(error)
            except Exception:
                log.exception("changes of items could not be taken in")

    async def stop(self) -> None:
        """Let Redis have what was learnt last."""
        with suppress(StoreError):
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
        before: Change | None = None

        def remember(stored: Change | None) -> Change | None:
            nonlocal before
            before = stored
            return decide(stored)

        await self._items.change(item_id, remember, added=added)
        try:
            await self.refresh(model)
        except BundleError as error:
            await self._items.change(item_id, lambda _: before, added=added)
            raise ConflictError(
                "the model in use cannot place new items; export it again"
            ) from error

    async def refresh(self, model: LoadedModel) -> None:
        """Give `model` the items as they are now.

        Raises:
            StoreError: Redis does not answer.
            BundleError: the bundle of the model cannot place new items.
        """
        async with self._one_at_a_time:
            if self._live is None or self._model is not model or self._crowded(self._live):
                self._begin(model)
            changes = await self._items.since(self._versions["items"])
            if changes and changes.whole and self._versions["items"]:
                self._begin(model)  # Redis has lost what it held
            version, followers = await self._learnt()
            if version < self._versions["memory"]:
                self._begin(model)
                changes = await self._items.since(0)
                version, followers = await self._learnt()
            if changes or followers:
                live = self._live
                assert live
                items = changes.items if changes else {}
                model.items = await asyncio.to_thread(live.update, items, followers)
                await self._absorb(live, items)
            if changes:
                self._versions["items"] = changes.version
            self._versions["memory"] = version

    def _begin(self, model: LoadedModel) -> None:
        self._live = LiveItems(model.bundle, model.trained_items, self._limit)
        self._model = model
        self._versions = {"items": 0.0, "memory": 0.0}

    def _crowded(self, live: LiveItems) -> bool:
        return live.outdated_rows > _OUTDATED + len(live.snapshot.catalog) // 2

    async def _learnt(self) -> tuple[float, dict[str, Followers]]:
        if self._memory is None:
            return 0.0, {}
        return await self._memory.since(self._versions["memory"], _ITEMS_AT_ONCE)

    async def _absorb(self, live: LiveItems, changes: dict[str, Change | None]) -> None:
        """Items that were added once and are in the bundle by now do not count as added any more."""
        if absorbed := [
            item_id for item_id, change in changes.items() if change and live.knows(item_id)
        ]:
            with suppress(StoreError):
                await self._items.absorb(absorbed)
