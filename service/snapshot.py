"""The items at one moment: what is known of each, what may be recommended, and what the model reads.

A request keeps the snapshot that it began with; a change of the catalogue makes the next one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_export.contract.bundle import Bundle
from model_export.contract.catalog import Catalog
from model_export.contract.errors import BundleError
from model_export.contract.evidence import NeighbourTable
from model_export.contract.semantic_ids import CodeVocabulary
from service.errors import NotFoundError
from service.explain import Explainer
from service.filters import CatalogFilter
from service.reasons import ReasonFinder
from service.search import CatalogSearch
from service.trace import Record, ScoredItems


@dataclass(frozen=True, eq=False)
class Snapshot:
    """N items; rows count in every table alike.

    Attributes:
        catalog: what their owner says of them.
        filters: which of them a request allows.
        search: finds them by their words.
        vectors: (N, d) unit item vectors.
        popularity: (N,) interactions.
        popular: (N,) rows, most popular first.
        reasons: why an item is recommended.
        explainer: the same in words.
        scored: what the model reads of them; None where that is what the bundle says.
    """

    catalog: Catalog
    filters: CatalogFilter
    search: CatalogSearch
    vectors: NDArray[np.float32]
    popularity: NDArray[np.integer]
    popular: NDArray[np.int64]
    reasons: ReasonFinder
    explainer: Explainer
    scored: ScoredItems | None = None

    def added(self, record: Record, trained: Catalog) -> dict[int, str]:
        """Ids of those items of a record of this snapshot that `trained` has no rows for."""
        if len(self.catalog) == len(trained):
            return {}
        return {row: self.catalog[row].item_id for row in record.rows() if row >= len(trained)}

    def placed(self, record: Record) -> Record:
        """A record with the rows that its items have in this snapshot.

        Raises:
            NotFoundError: one of them is gone.
        """
        rows = {row: self.catalog.row(item_id) for row, item_id in record.added.items()}
        here = {old: new for old, new in rows.items() if new is not None}
        trained = record.rows() - rows.keys()
        if len(here) < len(rows) or not self.filters.exists[list(trained)].all():
            raise NotFoundError("the recommendation names an item that has been deleted since")
        return record.moved(here)

    @classmethod
    def of(cls, bundle: Bundle) -> Snapshot:
        """The items as the bundle knows them.

        Raises:
            BundleError: a table or the labels of the codes are missing.
        """
        catalog, popularity = bundle.catalog, bundle.table("popularity")
        popular = np.argsort(-popularity, kind="stable")
        vocabulary = CodeVocabulary(bundle.manifest.code_sizes)
        return cls(
            catalog=catalog,
            filters=CatalogFilter(catalog),
            search=CatalogSearch(catalog, popular),
            vectors=bundle.table("item_vectors"),
            popularity=popularity,
            popular=popular,
            reasons=ReasonFinder(*(bundle_neighbours(bundle, name) for name in ("memory", "text"))),
            explainer=Explainer(catalog, vocabulary, _labels(bundle)),
        )


def bundle_neighbours(bundle: Bundle, name: str) -> NeighbourTable:
    """A neighbour table of a bundle.

    Raises:
        BundleError: it is missing.
    """
    return NeighbourTable(bundle.table(f"{name}_items"), bundle.table(f"{name}_weights"))


def _labels(bundle: Bundle) -> list[list[str]]:
    try:
        text = (bundle.path / "code_labels.json").read_text(encoding="utf-8")
        labels: list[list[str]] = json.loads(text)
    except (OSError, ValueError) as error:
        raise BundleError(f"bundle {bundle.path} has no readable code_labels.json") from error
    return labels
