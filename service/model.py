"""A loaded bundle, ready to answer: everything that is replaced together when the model changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from model_export.contract.bundle import Bundle, open_bundle
from model_export.contract.errors import BundleError
from model_export.contract.evidence import NeighbourTable
from model_export.contract.semantic_ids import CodeVocabulary
from service.batching import MicroBatcher
from service.explain import Explainer
from service.filters import CatalogFilter
from service.influence import Influence, measure_influence
from service.reasoning import OnnxReasoner
from service.reasons import ReasonFinder
from service.requests import RunningRequests
from service.search import CatalogSearch
from service.settings import Settings
from service.trace import Answer, Query, Reasoner, Record, Trace


class LoadedModel:
    """One model version in use.

    Attributes:
        bundle: where it comes from.
        filters: which items a request allows.
        vectors: (items, d) unit item vectors.
        popular: (items,) rows, most popular first.
        reasons: why an item is recommended.
        explainer: the same in words.
        batcher: the way to the model for concurrent requests.
        readings: works out what recorded answers mean and rest on, beside the requests and not
            among them.
        search: finds items by their words.
        requests: those that use this model now.
    """

    def __init__(self, bundle: Bundle, reasoner: Reasoner, queue_size: int, max_batch: int) -> None:
        self.bundle = bundle
        self.filters = CatalogFilter(bundle.catalog)
        self.vectors: NDArray[np.float32] = bundle.table("item_vectors")
        self.popular = np.argsort(-bundle.table("popularity"), kind="stable")
        self.reasons = ReasonFinder(
            NeighbourTable(bundle.table("memory_items"), bundle.table("memory_weights")),
            NeighbourTable(bundle.table("text_items"), bundle.table("text_weights")),
        )
        vocabulary = CodeVocabulary(bundle.manifest.code_sizes)
        self.explainer = Explainer(bundle.catalog, vocabulary, _labels(bundle))
        self.batcher: MicroBatcher[Query, Answer] = MicroBatcher(
            reasoner.answer, queue_size, max_batch
        )
        self.readings: MicroBatcher[Record, tuple[Trace, Influence | None]] = MicroBatcher(
            self._read, queue_size, max_batch=1
        )
        self.search = CatalogSearch(bundle.catalog, self.popular)
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
        self, records: Sequence[Record]
    ) -> Iterator[tuple[int, tuple[Trace, Influence | None]]]:
        for place, record in enumerate(records):
            steps = self._reasoner.steps(record.history, record.thoughts)
            trace = Trace.model_construct(**dict(record), steps=steps)
            seen = record.history if record.exclude_seen else ()
            allowed = self.filters.allowed(record.filter, seen)
            yield place, (trace, measure_influence(self._reasoner, trace, allowed))

    @property
    def version(self) -> str:
        """Names these exact weights and tables."""
        return self.bundle.manifest.model_version


def load_model(settings: Settings) -> LoadedModel:
    """Verify the bundle, load it and answer once, so that the first request finds it warm.

    Raises:
        BundleError: it is missing, damaged, unverified or of another format.
    """
    bundle = open_bundle(settings.bundle)
    if not len(bundle.catalog):
        raise BundleError(f"bundle {settings.bundle} has no items; export it again")
    reasoner = OnnxReasoner(bundle, settings.intra_op_threads)
    every_item = np.ones(len(bundle.catalog), dtype=bool)
    steps = bundle.manifest.model.max_steps
    list(reasoner.answer([Query(history=(0,), allowed=every_item, steps=steps, count=1)]))
    return LoadedModel(bundle, reasoner, settings.queue_size, settings.max_batch)


def _labels(bundle: Bundle) -> list[list[str]]:
    try:
        text = (bundle.path / "code_labels.json").read_text(encoding="utf-8")
        labels: list[list[str]] = json.loads(text)
    except (OSError, ValueError) as error:
        raise BundleError(f"bundle {bundle.path} has no readable code_labels.json") from error
    return labels
