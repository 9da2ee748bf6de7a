"""What a server of answers counts, as Prometheus reads it: no customer, model or user is named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capflow_assets.serving.service import Service

SHARED = "PROMETHEUS_MULTIPROC_DIR"
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


@dataclass(slots=True)
class Metrics:
    """The counters of one process; several processes share a folder, and any of them tells of all."""

    registry: Any = field(init=False)
    seconds: Any = field(init=False)
    answers: Any = field(init=False)
    gauges: dict[str, Any] = field(init=False)
    # The series of each route and status, and of each rung: to look them up by their labels takes longer than to count.
    _seconds: dict[tuple[str, int], Any] = field(default_factory=dict)
    _answers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        names = ("route", "status")
        self.seconds = Histogram(
            "capflow_request_seconds", "Seconds of requests.", names, registry=self.registry, buckets=BUCKETS
        )
        self.answers = Counter("capflow_answers", "Answers by who gave them.", ("served_by",), registry=self.registry)
        words = {
            "models_resident": "Versions that are loaded.",
            "resident_bytes": "Bytes that loaded versions keep, as reckoned.",
            "process_bytes": "Bytes that the process holds.",
            "cold_loads": "Versions loaded since the start.",
            "evictions": "Versions that had to go since the start.",
            "store_errors": "Look-ups that failed since the start.",
            "mlflow_reached": "1 where the last look at MLflow succeeded.",
        }
        self.gauges = {
            name: Gauge(f"capflow_{name}", text, registry=self.registry, multiprocess_mode="livesum")
            for name, text in words.items()
        }

    def observe(self, route: str, status: int, seconds: float, rungs: Mapping[str, int]) -> None:
        """One request."""
        series = self._seconds.get((route, status))
        if series is None:
            series = self._seconds[route, status] = self.seconds.labels(route, str(status))
        series.observe(seconds)
        for rung, count in rungs.items():
            if rung not in self._answers:
                self._answers[rung] = self.answers.labels(rung)
            self._answers[rung].inc(count)

    def text(self, service: Service) -> bytes:
        """All of it in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        from capflow_assets.serving.memory import rss_bytes

        cache = service.cache
        values = {
            "models_resident": len(cache),
            "resident_bytes": cache.resident_bytes,
            "process_bytes": rss_bytes(),
            "cold_loads": cache.cold_loads,
            "evictions": cache.evictions,
            "store_errors": service.lookups.errors,
            "mlflow_reached": int(service.watch.is_reached),
        }
        for name, value in values.items():
            self.gauges[name].set(value)
        if SHARED not in os.environ:
            return bytes(generate_latest(self.registry))
        every = CollectorRegistry()
        MultiProcessCollector(every)
        return bytes(generate_latest(every))
