"""A loaded bundle, ready to answer: everything that is replaced together when the model changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from model_export.contract.bundle import Bundle, open_bundle
from model_export.contract.errors import BundleError
from service.batching import MicroBatcher
from service.influence import Influence, measure_influence
from service.reasoning import OnnxReasoner
from service.requests import RunningRequests
from service.settings import Settings
from service.snapshot import Snapshot
from service.trace import Answer, Query, Reasoner, Record, Trace


class LoadedModel:
    """One model version in use.

    Attributes:
        bundle: where it comes from.
        items: the items of this moment; replaced as a whole when the catalogue changes.
        trained_items: the items as the bundle knows them.
        batcher: the way to the model for concurrent requests.
        readings: works out what recorded answers mean and rest on, beside the requests and not
            among them.
        requests: those that use this model now.
    """

    def __init__(self, bundle: Bundle, reasoner: Reasoner, queue_size: int, max_batch: int) -> None:
        self.bundle = bundle
        self.items = self.trained_items = Snapshot.of(bundle)
        self.batcher: MicroBatcher[Query, Answer] = MicroBatcher(
            reasoner.answer, queue_size, max_batch
        )
        self.readings: MicroBatcher[tuple[Record, Snapshot], tuple[Trace, Influence | None]] = (
            MicroBatcher(self._read, queue_size, max_batch=1)
        )
        self.requests = RunningRequests()
        self._reasoner = reasoner

    async def start(self) -> None:
        """Begin to answer; needs a running event loop."""
        await self.batcher.start()
        await self.readings.start()

    async def stop(self) -> None:
        """Answer everything that waits, then end."""
        await self.batcher.stop()
        await self.readings.stop()

    def _read(
        self, records: Sequence[tuple[Record, Snapshot]]
    ) -> Iterator[tuple[int, tuple[Trace, Influence | None]]]:
        for place, (record, items) in enumerate(records):
            steps = self._reasoner.steps(record.history, record.thoughts, items.scored)
            for step in steps:
                step.nearest = [row for row in step.nearest if items.filters.exists[row]]
            trace = Trace.model_construct(**dict(record), steps=steps)
            seen = record.history if record.exclude_seen else ()
            allowed = items.filters.allowed(record.filter, seen)
            yield place, (trace, measure_influence(self._reasoner, trace, allowed, items.scored))

    @property
    def version(self) -> str:
        """Names these exact weights and tables."""
        return self.bundle.manifest.model_version


def load_model(settings: Settings, opened: Bundle | None = None) -> LoadedModel:
    """Verify the bundle, load it and answer once, so that the first request finds it warm.

    Args:
        opened: the bundle where it has been verified already.

    Raises:
        BundleError: it is missing, damaged, unverified or of another format.
    """
    bundle = opened or open_bundle(settings.bundle)
    if not len(bundle.catalog):
        raise BundleError(f"bundle {settings.bundle} has no items; export it again")
    reasoner = OnnxReasoner(bundle, settings.intra_op_threads)
    every_item = np.ones(len(bundle.catalog), dtype=bool)
    steps = bundle.manifest.model.max_steps
    list(reasoner.answer([Query(history=(0,), allowed=every_item, steps=steps, count=1)]))
    return LoadedModel(bundle, reasoner, settings.queue_size, settings.max_batch)
