"""What a server counts, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as MEDIA_TYPE

__all__ = ["MEDIA_TYPE", "Metrics"]
_SECONDS = (0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "hafloc_requests",
            "Requests by method, route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "hafloc_request_seconds",
            "How long requests took, from their head to the end of the answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.photos = Counter(
            "hafloc_located_photos",
            "Photos located, by what was said of them: found, not_here, unknown or failed.",
            ("outcome",),
            registry=self._registry,
        )
        self.work = Histogram(
            "hafloc_locate_seconds",
            "How long one photo was worked on, without waiting.",
            buckets=_SECONDS,
            registry=self._registry,
        )

    def watch(self, name: str, says: str, value: Callable[[], float]) -> None:
        """A number that is asked for whenever the metrics are."""
        Gauge(name, says, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        return generate_latest(self._registry)
