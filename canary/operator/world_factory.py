"""Builds the World of each release: the shared cluster, and its own router and metric source."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from canary.api import AnalysisSource, Intent, Status
from canary.core.plan import TrafficAction
from canary.core.series import MetricAnswer, NoData, PendingAnswer, SeriesQuery
from canary.core.snapshot import ReleaseResource, Route
from canary.interfaces import Key, ReleaseMetrics, ReleaseStore, World
from canary.kube.objects import Objects
from canary.metrics.batch import QueryBatcher
from canary.metrics.nonblocking import NonBlockingSource
from canary.metrics.own_queries import OwnQueries, check
from canary.metrics.queries import preset_of
from canary.operator.scrapers import Scrapers
from canary.routers.registry import router_of


@dataclass(frozen=True, slots=True)
class RouterOfSpec:
    """See TrafficRouter; uses the router that the spec names."""

    objects: Objects

    def read(self, resource: ReleaseResource) -> Route | None:
        """See TrafficRouter."""
        return router_of(resource.spec.traffic, self.objects).read(resource)

    def apply(self, resource: ReleaseResource, action: TrafficAction) -> None:
        """See TrafficRouter."""
        router_of(resource.spec.traffic, self.objects).apply(resource, action)


@dataclass(frozen=True, slots=True)
class PresetCheckingStore:
    """See ReleaseStore; validates presets and queries, which no schema can.

    `on_read` is called with each release that was read.
    """

    store: ReleaseStore
    on_read: Callable[[ReleaseResource], None]
    own_queries: OwnQueries = OwnQueries.ON

    def read(self, key: Key) -> ReleaseResource:
        """See ReleaseStore. Raises UsageError for an invalid spec.

        A release that is in flight or being deleted continues without the invalid metric.
        """
        resource = self.store.read(key)
        if resource.status.intent is Intent.REST and resource.deleting_since is None:
            _check_metrics(resource, self.own_queries)
        self.on_read(resource)
        return resource

    def write_status(self, resource: ReleaseResource, status: Status) -> None:
        """See ReleaseStore."""
        self.store.write_status(resource, status)

    def remove_finalizer(self, resource: ReleaseResource) -> None:
        """See ReleaseStore."""
        self.store.remove_finalizer(resource)


def _check_metrics(resource: ReleaseResource, own_queries: OwnQueries) -> None:
    for metric in resource.spec.analysis.metrics:
        preset_of(metric)
        if metric.query is not None:
            check(own_queries, metric.query, resource.namespace)


class EmptySource:
    """See MetricSource; a source without any scrape."""

    def read(
        self, queries: Sequence[SeriesQuery], _start: float, _end: float, _step: float
    ) -> Mapping[str, MetricAnswer]:
        """See MetricSource."""
        return {query.key: NoData("nothing has been scraped yet") for query in queries}

    def settled(self, _now: float) -> float:
        """See MetricSource."""
        return 0.0


@dataclass
class SelectedSource:
    """See ReleaseMetrics; uses the source that the release's spec names."""

    prometheus: NonBlockingSource
    scrapers: Scrapers
    _resource: ReleaseResource | None = None

    def select(self, resource: ReleaseResource) -> None:
        """Store the release as read; starts and stops nothing."""
        self._resource = resource
        self.prometheus.judged(resource.status.judged_until)

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer] | PendingAnswer:
        """See ReleaseMetrics."""
        return self._source().read(queries, start, end, step)

    def settled(self, now: float) -> float:
        """See ReleaseMetrics."""
        return self._source().settled(now)

    def follow(self, status: Status, judged_until: float | None) -> None:
        """Store up to when the release has been judged (seconds); start or stop its scrapes."""
        if judged_until is not None:
            self.prometheus.judged(judged_until)
        if (resource := self._resource) is None:
            return
        key, analysis = Key(resource.namespace, resource.name), resource.spec.analysis
        if analysis.source is AnalysisSource.SCRAPE and status.intent is not Intent.REST:
            self.scrapers.start(key, resource.spec.target.name, analysis.interval)
        else:
            self.scrapers.stop(key)

    def due(self, now: float) -> float | None:
        """Return seconds until there are new samples, if known."""
        return self.prometheus.due(now) if self._source() is self.prometheus else None

    def _source(self) -> ReleaseMetrics:
        resource = self._resource
        if resource is not None and resource.spec.analysis.source is AnalysisSource.PROMETHEUS:
            return self.prometheus
        running = (
            self.scrapers.get(Key(resource.namespace, resource.name))
            if resource is not None
            else None
        )
        return running or EmptySource()


class WorldFactory:
    """Builds the World of each release, and keeps its metric source."""

    def __init__(
        self, common: World, batch: QueryBatcher, scrapers: Scrapers, wake: Callable[[Key], None]
    ) -> None:
        self._common = common
        self._batch = batch
        self._scrapers = scrapers
        self._wake = wake
        self._sources: dict[Key, SelectedSource] = {}

    def get_world(self, key: Key) -> tuple[World, SelectedSource]:
        """Return the World of a release, and its metric source."""
        source = self._sources.get(key)
        if source is None:
            prometheus = NonBlockingSource(self._batch, lambda: self._wake(key))
            source = self._sources[key] = SelectedSource(prometheus, self._scrapers)
        releases = PresetCheckingStore(
            self._common.releases, source.select, self._batch.own_queries
        )
        return replace(self._common, releases=releases, metrics=source), source

    def forget(self, key: Key) -> None:
        """Drop the metric source of a deleted release."""
        self._scrapers.stop(key)
        self._sources.pop(key, None)
