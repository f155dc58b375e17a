"""What one running app holds."""

from __future__ import annotations

from dataclasses import dataclass

from service.event_weights import EventWeights
from service.metrics import Metrics
from service.model import LoadedModel
from service.recommender import Recommender
from service.stores.connection import Connection
from service.stores.histories import HistoryStore
from service.stores.recommendations import RecommendationStore


@dataclass
class ServiceState:
    """The model in use and the stores beside it.

    Attributes:
        model: replaced as a whole when another bundle is loaded.
    """

    model: LoadedModel
    connection: Connection
    histories: HistoryStore
    recommendations: RecommendationStore
    metrics: Metrics
    weights: EventWeights

    @property
    def recommender(self) -> Recommender:
        """The recommender of the model in use; a request keeps the one that it began with."""
        return Recommender(
            self.model, self.histories, self.recommendations, self.metrics, self.weights
        )
