"""Prometheus metrics; no label ever holds a user or an item."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one app, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Histogram(
            "http_server_request_duration_seconds",
            "Time to answer, for every outcome.",
            ("method", "route", "status"),
            registry=registry,
            buckets=_SECONDS,
        )
        self.stages = Histogram(
            "streamrec_stage_duration_seconds",
            "Time in each stage of a recommendation.",
            ("stage",),
            registry=registry,
            buckets=_SECONDS,
        )
        self.steps = Histogram(
            "streamrec_reasoning_steps",
            "Reasoning steps behind each recommendation.",
            registry=registry,
            buckets=tuple(range(17)),
        )
        self.fallbacks = Counter(
            "streamrec_fallback",
            "Recommendations that the model did not make.",
            ("reason",),
            registry=registry,
        )
        self.events = Counter(
            "streamrec_events",
            "Events received, by what became of them.",
            ("result",),
            registry=registry,
        )
        self.recommendations = Counter(
            "streamrec_recommendations",
            "Recommendations that were recorded, so that clicks on them count; effort is `steps` where "
            "a number of steps was asked for, and `popular` where the model was not.",
            ("model_version", "effort"),
            registry=registry,
        )
        self.clicks = Counter(
            "streamrec_clicks",
            "Recommended items that an event named with their recommendation, each counted once.",
            ("model_version", "effort"),
            registry=registry,
        )
        self.rejected = Counter(
            "streamrec_rejected", "Requests refused.", ("reason",), registry=registry
        )
        self.redis_errors = Counter(
            "streamrec_redis_errors", "Redis calls that failed.", registry=registry
        )
        self.queue_depth = Gauge(
            "streamrec_queue_depth",
            "Requests that wait for the model.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.stream_lag, self.stream_pending = (
            Gauge(
                f"streamrec_stream_{name}",
                f"Events of the stream that were {state}.",
                registry=registry,
                multiprocess_mode="livemax",
            )
            for name, state in (
                ("lag", "not delivered to any consumer yet"),
                ("pending", "delivered and are not stored yet"),
            )
        )
        self.reloads = Counter(
            "streamrec_model_reloads",
            "Bundles that were to replace the one in use, by what became of them.",
            ("result",),
            registry=registry,
        )
        self.model_info = Gauge(
            "streamrec_model_info",
            "1 for the model version in use.",
            ("version",),
            registry=registry,
            multiprocess_mode="livemax",
        )

    def render(self) -> bytes:
        """The metrics as text; of all workers where several share a folder for them."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
