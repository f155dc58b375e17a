"""Answers for many histories at once, without HTTP and Redis: the same model, code and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from service.api.schemas import Recommendation, RecommendRequest
from service.event_weights import EventWeights
from service.metrics import Metrics
from service.model import load_model
from service.recommender import Recommender
from service.settings import Settings
from service.stores.histories import Interaction


class BulkRecommender:
    """Answers batches of histories from a bundle; one an engine's worker process.

    Args:
        settings: name the bundle; of the rest those of the model and of event weights count.
        batch: histories that one call of `answer` may hold.

    Raises:
        BundleError: the bundle is missing, damaged, unverified or of another format.
    """

    def __init__(self, settings: Settings, batch: int) -> None:
        self._settings = settings.model_copy(update={"queue_size": batch})
        self._model = load_model(self._settings)
        self._weights = EventWeights.parse(settings.event_weights)
        self._metrics = Metrics()
        self._loop = asyncio.Runner()

    def __enter__(self) -> Self:
        self._loop.run(self._model.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._loop.run(self._model.stop())
        self._loop.close()

    @property
    def model_version(self) -> str:
        """Names the weights and tables that answer."""
        return self._model.version

    def answer(
        self, histories: Mapping[str, Sequence[Interaction]], request: RecommendRequest
    ) -> list[Recommendation]:
        """The answer that each user would get to `request`, were this the stored history.

        Args:
            histories: by user, oldest first, at most `batch` of them.
            request: what everybody asks; its user and history are not looked at.

        Returns:
            One answer a user, in order. Nothing is recorded, so none can be explained later.
        """
        weighing = {
            user: [seen for seen in history if self._weights.of(seen.event_type)]
            for user, history in histories.items()
        }
        kept = {user: seen[-self._settings.history_cap :] for user, seen in weighing.items()}
        recommender = Recommender(
            self._model, _Given(kept), _Unrecorded(), self._metrics, self._weights
        )
        asked = request.model_copy(update={"history": None})

        async def ask() -> list[Recommendation]:
            return await asyncio.gather(
                *(recommender.recommend(asked.model_copy(update={"user_id": u})) for u in kept)
            )

        return self._loop.run(ask())


class _Given:
    """Histories that were handed over."""

    def __init__(self, histories: Mapping[str, list[Interaction]]) -> None:
        self._histories = histories

    async def read(self, user_id: str) -> list[Interaction]:
        return self._histories[user_id]


class _Unrecorded:
    """Keeps no record."""

    async def put(self, *_: object) -> None:
        pass

    async def get(self, _: str) -> None:
        return None
