"""Prometheus metrics; no label ever holds a user or an item."""

from __future__ import annotations

import os
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one app, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        histogram = partial(Histogram, registry=self._registry)
        counter = partial(Counter, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry)
        self.requests = histogram(
            "http_server_request_duration_seconds",
            "Time to answer, for every outcome.",
            ("method", "route", "status"),
            buckets=_SECONDS,
        )
        self.stages = histogram(
            "streamrec_stage_duration_seconds",
            "Time in each stage of a recommendation.",
            ("stage",),
            buckets=_SECONDS,
        )
        self.steps = histogram(
            "streamrec_reasoning_steps",
            "Reasoning steps behind each recommendation.",
            buckets=tuple(range(17)),
        )
        self.fallbacks = counter(
            "streamrec_fallback", "Recommendations that the model did not make.", ("reason",)
        )
        self.events = counter(
            "streamrec_events", "Events received, by what became of them.", ("result",)
        )
        self.recommendations = counter(
            "streamrec_recommendations",
            "Recommendations that were recorded, so that clicks on them count; effort is `steps` where "
            "a number of steps was asked for, and `popular` where the model was not.",
            ("model_version", "effort"),
        )
        self.clicks = counter(
            "streamrec_clicks",
            "Recommended items that an event named with their recommendation, each counted once.",
            ("model_version", "effort"),
        )
        self.rejected = counter("streamrec_rejected", "Requests refused.", ("reason",))
        self.redis_errors = counter("streamrec_redis_errors", "Redis calls that failed.")
        self.queue_depth = gauge(
            "streamrec_queue_depth",
            "Requests that wait for the model.",
            multiprocess_mode="livesum",
        )
        self.stream_lag, self.stream_pending = (
            gauge(
                f"streamrec_stream_{name}",
                f"Events of the stream that were {state}.",
                multiprocess_mode="livemax",
            )
            for name, state in (
                ("lag", "not delivered to any consumer yet"),
                ("pending", "delivered and are not stored yet"),
            )
        )
        self.reloads = counter(
            "streamrec_model_reloads",
            "Bundles that were to replace the one in use, by what became of them.",
            ("result",),
        )
        self.model_info = gauge(
            "streamrec_model_info",
            "1 for the model version in use.",
            ("version",),
            multiprocess_mode="livemax",
        )

    def render(self) -> bytes:
        """The metrics as text; of all workers where several share a folder for them."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
