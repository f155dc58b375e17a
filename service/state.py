"""What one running app holds."""

from __future__ import annotations

from dataclasses import dataclass

from service.event_weights import EventWeights
from service.live.sync import LiveSync
from service.metrics import Metrics
from service.model import LoadedModel
from service.recommender import Recommender
from service.stores.connection import Connection
from service.stores.histories import HistoryStore
from service.stores.rate_limits import RateLimits
from service.stores.recommendations import RecommendationStore


@dataclass
class ServiceState:
    """The model in use and the stores beside it.

    Attributes:
        model: replaced as a whole when another bundle is loaded.
        bundle_problem: why the bundle that the path holds now is not the one in use.
        limits: None where nobody is limited.
        live: changes of items, and what is learnt from events.
    """

    model: LoadedModel
    connection: Connection
    histories: HistoryStore
    recommendations: RecommendationStore
    limits: RateLimits | None
    metrics: Metrics
    weights: EventWeights
    live: LiveSync
    bundle_problem: str | None = None

    @property
    def recommender(self) -> Recommender:
        """The recommender of the model in use; a request keeps the one that it began with."""
        return Recommender(
            self.model, self.histories, self.recommendations, self.metrics, self.weights
        )
