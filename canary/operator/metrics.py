"""What the operator says of itself and of the releases, for Prometheus.

`workqueue_*` and `rest_client_*` are named as in client-go, so that dashboards and alerts made
for other operators fit.
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
    """Requests to the API server: an Observer of canary.kube.transport."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "rest_client_requests",
            "Requests to the API server, by status code, method and host.",
            ("code", "method", "host"),
            registry=registry,
        )
        self._seconds = Histogram(
            "rest_client_request_duration_seconds",
            "Seconds until the API server's answer began, by method and host.",
            ("verb", "host"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._rights = Counter(
            "canary_api_rights_used",
            "Requests to the API server, by the right that each needs, as RBAC names it.",
            ("verb", "group", "resource"),
            registry=registry,
        )

    def requested(self, method: str, host: str, code: str, seconds: float) -> None:
        """See Observer."""
        self._requests.labels(code, method, host).inc()
        self._seconds.labels(method, host).observe(seconds)

    def used(self, verb: str, group: str, resource: str) -> None:
        """See Observer."""
        self._rights.labels(verb, group, resource).inc()


class QueueMetrics:
    """The work queue: a QueueObserver of canary.kube.queue."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, words: str) -> Counter:
            return Counter(name, words, ("name",), registry=registry).labels(QUEUE)

        def histogram(name: str, words: str) -> Histogram:
            made = Histogram(name, words, ("name",), buckets=_SECONDS, registry=registry)
            return made.labels(QUEUE)

        self._adds = counter("workqueue_adds", "ReleaseCollector that were queued.")
        self._retries = counter("workqueue_retries", "Passes that failed and are tried again.")
        self._waited = histogram("workqueue_queue_duration_seconds", "Time spent in the queue.")
        self._worked = histogram("workqueue_work_duration_seconds", "Of one pass.")

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
    """The releases as this replica last saw them; an Observer of canary.operator.reconciler.

    Counters go by the history in the status, so that a restart neither forgets nor repeats.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lock = threading.Lock()
        self._known: dict[Key, Status] = {}
        self._rollbacks = Counter(
            "canary_release_rollbacks",
            "ReleaseCollector that were rolled back, by reason.",
            (*_RELEASE, "reason"),
            registry=registry,
        )
        self._promotions = Counter(
            "canary_release_promotions",
            "ReleaseCollector that were promoted.",
            _RELEASE,
            registry=registry,
        )
        self._passes = Histogram(
            "canary_reconcile_duration_seconds",
            "Of one pass over one release, by result.",
            ("result",),
            buckets=_SECONDS,
            registry=registry,
        )
        registry.register(self)

    def passed(self, key: Key, status: Status) -> None:
        """See Observer."""
        with self._lock:
            before = self._known.get(key)
            self._known[key] = status
        if before is not None:
            self._count(key, before, status)

    def gone(self, key: Key) -> None:
        """See Observer."""
        with self._lock:
            self._known.pop(key, None)

    def counted(self, result: str, seconds: float) -> None:
        """See Observer."""
        self._passes.labels(result).observe(seconds)

    def clear(self) -> None:
        """This replica does not lead any more: another one knows."""
        with self._lock:
            self._known.clear()

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of the releases at registration."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """One sample per release; `phase` has one for the present phase only."""
        with self._lock:
            known = sorted(self._known.items(), key=lambda item: (item[0].namespace, item[0].name))
        families = _Families()
        for key, status in known:
            families.add(key, status)
        return families.all()

    def _count(self, key: Key, before: Status, after: Status) -> None:
        old = {(entry.template, entry.started_at) for entry in before.history}
        for entry in after.history:
            if (entry.template, entry.started_at) in old:
                continue
            if entry.result is Result.ROLLED_BACK:
                self._rollbacks.labels(key.namespace, key.name, entry.reason.value).inc()
            elif entry.result is Result.PROMOTED:
                self._promotions.labels(key.namespace, key.name).inc()


def _gauge_family(name: str, words: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"canary_release_{name}", words, labels=(*_RELEASE, *labels))


@dataclass
class _Families:
    """The gauges of all releases."""

    info: GaugeMetricFamily = field(
        default_factory=lambda: _gauge_family(
            "info", "1; the template hashes as labels.", "stable", "canary", "rejected"
        )
    )
    phase: GaugeMetricFamily = field(
        default_factory=lambda: _gauge_family(
            "phase", "1 for the present phase.", "phase", "reason"
        )
    )
    weight: GaugeMetricFamily = field(
        default_factory=lambda: _gauge_family("weight", "Percent of traffic meant for the canary.")
    )
    step: GaugeMetricFamily = field(
        default_factory=lambda: _gauge_family("step", "The present step, from 0; -1 at rest.")
    )
    verdict: GaugeMetricFamily = field(
        default_factory=lambda: _gauge_family(
            "verdict", "1 for the present verdict of a metric.", "metric", "verdict"
        )
    )
    evidence: GaugeMetricFamily = field(
        default_factory=lambda: _gauge_family("evidence", "E-value against the canary.", "metric")
    )

    def add(self, key: Key, status: Status) -> None:
        """One release."""
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
        """Every family, also those without a sample."""
        return self.info, self.phase, self.weight, self.step, self.verdict, self.evidence


class OperatorMetrics:
    """All of it, in one registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # process_cpu_seconds_total, …: CPU, memory, files
        self.rest = RestClientMetrics(self.registry)
        self.queue = QueueMetrics(self.registry)
        self.releases = ReleaseCollector(self.registry)
        self.queries = Counter(
            "canary_metric_queries", "Queries that were sent to Prometheus.", registry=self.registry
        )
        info = Gauge("canary_build_info", "1.", ("version",), registry=self.registry)
        info.labels(__version__).set(1)

    def follow(self, metric: str, words: str, name: str, value: Callable[[], float]) -> None:
        """A gauge with the label `name`, whose value is asked for at every scrape."""
        gauge = Gauge(metric, words, ("name",), registry=self.registry)
        gauge.labels(name).set_function(value)
