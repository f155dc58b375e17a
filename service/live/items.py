"""From a bundle and what changed since to the snapshot that requests see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import structlog

from model_export.contract.bundle import Bundle
from model_export.contract.catalog import Catalog, Item
from model_export.contract.errors import BundleError
from model_export.contract.reasoning import LoopTables
from service.live.catalog import LiveCatalog
from service.live.changes import Change, changed
from service.live.evidence import LiveEvidence
from service.live.newcomers import Newcomers
from service.reasons import ReasonFinder
from service.snapshot import Snapshot
from service.stores.memory import Followers
from service.trace import ScoredItems

log = structlog.get_logger("streamrec.live")


class LiveItems:
    """The items of a bundle and everything that has happened to them since.

    An item of the bundle keeps its vector, semantic ID and evidence whatever is written about it now: they
    come from training. An added item whose text changes is placed anew, in a new row.

    Not for several threads at once; the snapshots are.

    Args:
        bundle: what was trained.
        first: its snapshot.
        limit: items that may be added; of more, the last ones put.

    Attributes:
        snapshot: the last one that was frozen.
        ahead: whether anything was taken in since.
    """

    def __init__(self, bundle: Bundle, first: Snapshot, limit: int) -> None:
        self._bundle = bundle
        self._limit = limit
        self.snapshot = first
        self.ahead = False
        self._catalog: Catalog = first.catalog
        self._touched: dict[int, Item | None] = {}
        self._items: dict[int, Item] = {}
        self._rows: dict[str, int | None] = {}
        self._added: dict[int, str] = {}
        self._newcomers: Newcomers | None = None
        self._told = False
        self._evidence: LiveEvidence | None = None

    @property
    def outdated_rows(self) -> int:
        """Rows of added items that are gone."""
        size = len(self._bundle.catalog)
        return len(self.snapshot.catalog) - size - len(self._added)

    def trained(self, item_id: str) -> bool:
        """Whether the bundle has an item."""
        return self._bundle.catalog.row(item_id) is not None

    def can_place(self) -> bool:
        """Whether the bundle has what a new item needs; if not, that is said once."""
        if self._newcomers is None:
            try:
                self._newcomers = Newcomers(self._bundle)
            except BundleError as error:
                if not self._told:
                    log.warning("added items are left out", reason=str(error))
                self._told = True
        return self._newcomers is not None

    def take_in(
        self, changes: Mapping[str, Change | None], followers: Mapping[str, Followers]
    ) -> None:
        """Take in changes, in their order, and what followed items; `freeze` lets it be seen."""
        for item_id, change in changes.items():
            self._apply(item_id, change)
        for row in [*self._added][: max(0, len(self._added) - self._limit)]:
            log.warning("too many items were added; the oldest is left out", limit=self._limit)
            self._leave(row)
        if changes:
            size = len(self._newcomers.vectors) if self._newcomers else len(self._bundle.catalog)
            base = self._bundle.catalog
            self._catalog = LiveCatalog(base, dict(self._items), dict(self._rows), size)
        self._learn(self._catalog.row, followers)
        self.ahead |= bool(changes or followers)

    def freeze(self) -> Snapshot:
        """The snapshot of everything that was taken in."""
        self.snapshot = self._next(self._catalog)
        self._touched.clear()
        self.ahead = False
        return self.snapshot

    def _apply(self, item_id: str, change: Change | None) -> None:
        trained = self._bundle.catalog.row(item_id)
        if trained is not None:
            item = changed(item_id, self._bundle.catalog[trained], change)
            self._touched[trained] = item
            if item is None:
                self._rows[item_id] = None
            else:
                self._rows[item_id] = trained
                self._items[trained] = item
            return
        item = changed(item_id, None, change)
        row = self._rows.get(item_id)
        if row is not None and (item is None or item.text != self._items[row].text):
            self._leave(row)
            row = None
        if item is not None and (row is not None or self.can_place()):
            row = self._enter(item) if row is None else row
            self._rows[item_id] = row
            self._items[row] = self._touched[row] = item

    def _enter(self, item: Item) -> int:
        assert self._newcomers
        row, cosines = self._newcomers.add(item.text)
        self._evidence = self._evidence or LiveEvidence(self._bundle)
        self._evidence.add(row, cosines)
        self._added[row] = item.item_id
        return row

    def _leave(self, row: int) -> None:
        assert self._newcomers
        self._newcomers.remove(row)
        self._rows[self._added.pop(row)] = None
        self._touched[row] = None

    def _learn(self, row_of: Callable[[str], int | None], learnt: Mapping[str, Followers]) -> None:
        known = {row: entry for item, entry in learnt.items() if (row := row_of(item)) is not None}
        if not known:
            return
        self._evidence = self._evidence or LiveEvidence(self._bundle)
        for row, entry in known.items():
            self._evidence.count(row, entry.events)
        for row, entry in known.items():
            followers = {
                window: {
                    follower: count
                    for item, count in counts.items()
                    if (follower := row_of(item)) is not None and follower != row
                }
                for window, counts in entry.by_window.items()
            }
            self._evidence.follow(row, followers)

    def _next(self, catalog: Catalog) -> Snapshot:
        now = self.snapshot
        filters, search, explainer = now.filters, now.search, now.explainer
        popularity, reasons, vectors, scored = now.popularity, now.reasons, now.vectors, now.scored
        if self._touched:
            filters = filters.after(catalog, self._touched)
            explainer = explainer.naming(catalog)
        if self._evidence:
            popularity = self._evidence.popularity
            scorer = self._evidence.freeze()
            reasons = ReasonFinder(scorer.tables["memory"], scorer.tables["text"])
            if self._newcomers:
                tables = self._newcomers.tables()
                vectors = tables.item_vectors
            else:
                tables = scored.tables if scored else LoopTables.of(self._bundle)
            scored = ScoredItems(tables, scorer)
        order = np.argsort(-popularity, kind="stable")
        popular = order[filters.exists[order]]
        if self._touched or self._evidence:
            search = search.after(catalog, popular, self._items)
        return replace(
            now, catalog=catalog, filters=filters, search=search, vectors=vectors,
            popularity=popularity, popular=popular, reasons=reasons, explainer=explainer,
            scored=scored,
        )  # fmt: skip
