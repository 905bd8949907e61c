"""What notifications cost and whether they arrive, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from canary.notify.delivery_queue import Result, Task

_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)


class Counts:
    """An Observer of canary.notify.delivery_queue.

    `receiver` is the name that the operator's file gives, or the kind for those of a release.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "canary_notification_deliveries",
            "Notifications by how they ended: delivered, refused, expired, dropped.",
            ("receiver", "result"),
            registry=registry,
        )
        self._retries = Counter(
            "canary_notification_retries",
            "Attempts that failed and were followed by another.",
            ("receiver",),
            registry=registry,
        )
        self._repeats = Counter(
            "canary_notification_repeats",
            "Notices that said what had been told already.",
            registry=registry,
        )
        self._delay = Histogram(
            "canary_notification_delay_seconds",
            "From what happened to its delivery.",
            ("receiver",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._queued = Gauge(
            "canary_notification_queued", "Notifications that wait.", registry=registry
        )

    def ended(self, task: Task, result: Result) -> None:
        """See Observer; what we only told ourselves does not count."""
        if task.receiver:
            self._ended.labels(task.receiver, result.value).inc()

    def retried(self, receiver: str) -> None:
        """An attempt failed."""
        self._retries.labels(receiver).inc()

    def repeated(self) -> None:
        """It had been told."""
        self._repeats.inc()

    def delivered(self, receiver: str, seconds: float) -> None:
        """So long after it happened."""
        self._delay.labels(receiver).observe(max(seconds, 0.0))

    def follow(self, queued: Callable[[], float]) -> None:
        """Asked at every scrape."""
        self._queued.set_function(queued)
