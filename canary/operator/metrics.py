"""The operator's metrics about itself and the releases, for Prometheus.

`workqueue_*` and `rest_client_*` have the names of client-go, so that dashboards and alerts for
other operators work.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from canary import __version__
from canary.api import Result, Status, Verdict
from canary.interfaces import Key

QUEUE = "canaryreleases"
_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RELEASE = ("namespace", "release")


class RestClientMetrics:
    """Counts requests to the API server: a RequestObserver of canary.kube.transport."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "rest_client_requests",
            "Number of requests to the API server, by status code, method and host.",
            ("code", "method", "host"),
            registry=registry,
        )
        self._seconds = Histogram(
            "rest_client_request_duration_seconds",
            "Seconds until the first byte of the API server's response, by method and host.",
            ("verb", "host"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._rights = Counter(
            "canary_api_rights_used",
            "Number of requests to the API server, by the required RBAC rule.",
            ("verb", "group", "resource"),
            registry=registry,
        )

    def requested(self, method: str, host: str, code: str, seconds: float) -> None:
        """See RequestObserver and ReconcileObserver."""
        self._requests.labels(code, method, host).inc()
        self._seconds.labels(method, host).observe(seconds)

    def used(self, verb: str, group: str, resource: str) -> None:
        """See RequestObserver and ReconcileObserver."""
        self._rights.labels(verb, group, resource).inc()


class QueueMetrics:
    """Counts keys of the work queue: a QueueObserver of canary.kube.queue."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help_text: str) -> Counter:
            return Counter(name, help_text, ("name",), registry=registry).labels(QUEUE)

        def histogram(name: str, help_text: str) -> Histogram:
            made = Histogram(name, help_text, ("name",), buckets=_SECONDS, registry=registry)
            return made.labels(QUEUE)

        self._adds = counter(
            "workqueue_adds", "Number of times that a release was added to the queue."
        )
        self._retries = counter(
            "workqueue_retries", "Number of reconciles that were retried after a failure."
        )
        self._waited = histogram(
            "workqueue_queue_duration_seconds", "Seconds that a release waited in the queue."
        )
        self._worked = histogram(
            "workqueue_work_duration_seconds", "Duration of one reconcile in seconds."
        )

    def added(self) -> None:
        """See QueueObserver."""
        self._adds.inc()

    def taken(self, waited: float) -> None:
        """See QueueObserver."""
        self._waited.observe(waited)

    def finished(self, worked: float) -> None:
        """See QueueObserver."""
        self._worked.observe(worked)

    def retried(self) -> None:
        """See QueueObserver."""
        self._retries.inc()


class ReleaseCollector(Collector):
    """Exports the releases as last reconciled; a ReconcileObserver of canary.operator.reconciler.

    Promotions and rollbacks are counted from the history in the status, so that none is counted
    twice.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lock = threading.Lock()
        self._known: dict[Key, Status] = {}
        self._rollbacks = Counter(
            "canary_release_rollbacks",
            "Number of rollbacks, by reason.",
            (*_RELEASE, "reason"),
            registry=registry,
        )
        self._promotions = Counter(
            "canary_release_promotions",
            "Number of promotions.",
            _RELEASE,
            registry=registry,
        )
        self._durations = Histogram(
            "canary_reconcile_duration_seconds",
            "Duration of one reconcile in seconds, by result.",
            ("result",),
            buckets=_SECONDS,
            registry=registry,
        )
        registry.register(self)

    def record_status(self, key: Key, status: Status) -> None:
        """See RequestObserver and ReconcileObserver."""
        with self._lock:
            before = self._known.get(key)
            self._known[key] = status
        if before is not None:
            self._count_ended(key, before, status)

    def remove_release(self, key: Key) -> None:
        """See RequestObserver and ReconcileObserver."""
        with self._lock:
            self._known.pop(key, None)
        for counter in (self._rollbacks, self._promotions):
            counter.remove_by_labels({"namespace": key.namespace, "release": key.name})

    def observe_duration(self, result: str, seconds: float) -> None:
        """See RequestObserver and ReconcileObserver."""
        self._durations.labels(result).observe(seconds)

    def clear(self) -> None:
        """Drop all releases when this replica no longer leads."""
        with self._lock:
            self._known.clear()

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that the registry does not collect at registration."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return one sample per release; `phase` has one for the current phase only."""
        with self._lock:
            known = sorted(self._known.items(), key=lambda item: (item[0].namespace, item[0].name))
        families = _Families()
        for key, status in known:
            families.add(key, status)
        return families.all()

    def _count_ended(self, key: Key, before: Status, after: Status) -> None:
        old = {(entry.template, entry.started_at) for entry in before.history}
        for entry in after.history:
            if (entry.template, entry.started_at) in old:
                continue
            if entry.result is Result.ROLLED_BACK:
                self._rollbacks.labels(key.namespace, key.name, entry.reason.value).inc()
            elif entry.result is Result.PROMOTED:
                self._promotions.labels(key.namespace, key.name).inc()


def _gauge_family(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"canary_release_{name}", help_text, labels=(*_RELEASE, *labels))


@dataclass
class _Families:
    """The gauges of all releases, rebuilt at each scrape."""

    info: GaugeMetricFamily = field(
        default_factory=lambda: _gauge_family(
            "info", "Always 1; the template hashes are labels.", "stable", "canary", "rejected"
        )
    )
    phase: GaugeMetricFamily = field(
        default_factory=lambda: _gauge_family(
            "phase", "1 for the current phase and reason.", "phase", "reason"
        )
    )
    weight: GaugeMetricFamily = field(
        default_factory=lambda: _gauge_family("weight", "Percentage of traffic sent to the canary.")
    )
    step: GaugeMetricFamily = field(
        default_factory=lambda: _gauge_family(
            "step", "Index of the current step, starting at 0; -1 when idle."
        )
    )
    verdict: GaugeMetricFamily = field(
        default_factory=lambda: _gauge_family(
            "verdict", "1 for the current verdict of each metric.", "metric", "verdict"
        )
    )
    evidence: GaugeMetricFamily = field(
        default_factory=lambda: _gauge_family(
            "evidence", "E-value of the evidence that the canary is worse.", "metric"
        )
    )

    def add(self, key: Key, status: Status) -> None:
        """Add the samples of one release."""
        own = [key.namespace, key.name]
        hashes = [status.stable_hash or "", status.canary_hash or "", status.rejected_hash or ""]
        self.info.add_metric([*own, *hashes], 1)
        self.phase.add_metric([*own, status.phase.value, status.reason.value], 1)
        self.weight.add_metric(own, status.weight)
        self.step.add_metric(own, status.step if status.release else -1)
        for metric in status.analysis if status.release else ():
            verdict: Verdict = metric.verdict
            self.verdict.add_metric([*own, metric.name, verdict.value], 1)
            self.evidence.add_metric([*own, metric.name], metric.evidence)

    def all(self) -> Iterable[Metric]:
        """Return every family, also those without samples."""
        return self.info, self.phase, self.weight, self.step, self.verdict, self.evidence


class OperatorMetrics:
    """All metrics of the operator, in one registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # process_cpu_seconds_total, …: CPU, memory, files
        self.rest = RestClientMetrics(self.registry)
        self.queue = QueueMetrics(self.registry)
        self.releases = ReleaseCollector(self.registry)
        self.queries = Counter(
            "canary_metric_queries",
            "Number of queries sent to Prometheus.",
            registry=self.registry,
        )
        info = Gauge(
            "canary_build_info",
            "Always 1; the version is a label.",
            ("version",),
            registry=self.registry,
        )
        info.labels(__version__).set(1)

    def add_gauge(self, metric: str, help_text: str, name: str, value: Callable[[], float]) -> None:
        """Add a gauge with the label `name`; `value` is called at every scrape."""
        gauge = Gauge(metric, help_text, ("name",), registry=self.registry)
        gauge.labels(name).set_function(value)
