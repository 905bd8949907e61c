"""Prometheus metrics of notifications."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from canary.notify.delivery_queue import DeliveryResult, DeliveryTask

_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)


class NotificationMetrics:
    """See `DeliveryObserver`.

    `receiver` is the name in the operator's file, or the kind for receivers of a release.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "canary_notification_deliveries",
            "Number of notifications, by result: delivered, refused, expired or dropped.",
            ("receiver", "result"),
            registry=registry,
        )
        self._retries = Counter(
            "canary_notification_retries",
            "Number of delivery attempts that failed and were retried.",
            ("receiver",),
            registry=registry,
        )
        self._repeats = Counter(
            "canary_notification_repeats",
            "Number of notifications skipped because the same event was sent before.",
            registry=registry,
        )
        self._delay = Histogram(
            "canary_notification_delay_seconds",
            "Seconds from the event to its delivery.",
            ("receiver",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._queued = Gauge(
            "canary_notification_queued",
            "Number of notifications waiting for delivery.",
            registry=registry,
        )

    def ended(self, task: DeliveryTask, result: DeliveryResult) -> None:
        """See `DeliveryObserver`; internal tasks are not counted."""
        if task.receiver:
            self._ended.labels(task.receiver, result.value).inc()

    def retried(self, receiver: str) -> None:
        """Count a retry."""
        self._retries.labels(receiver).inc()

    def repeated(self) -> None:
        """Count a skipped event."""
        self._repeats.inc()

    def delivered(self, receiver: str, seconds: float) -> None:
        """Record the delay of a delivery in seconds."""
        self._delay.labels(receiver).observe(max(seconds, 0.0))

    def follow(self, queued: Callable[[], float]) -> None:
        """Export the length of the queue; `queued` is called at each scrape."""
        self._queued.set_function(queued)
