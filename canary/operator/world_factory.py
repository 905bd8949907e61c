"""Builds the World of each release: the shared cluster, and its own router and metric source."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from canary.api import AnalysisSource, Intent, Status
from canary.core.plan import TrafficAction
from canary.core.series import MetricAnswer, NoData, PendingAnswer, SeriesQuery
from canary.core.snapshot import ReleaseResource, Route
from canary.errors import UsageError
from canary.interfaces import Key, ReleaseMetrics, ReleaseStore, World
from canary.kube.objects import Objects
from canary.metrics.batch import QueryBatcher
from canary.metrics.nonblocking import NonBlockingSource
from canary.metrics.own_queries import OwnQueries, check_expression
from canary.metrics.queries import preset_of
from canary.operator.metric_sources import MetricSources
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
    check_source: Callable[[str | None], object] = lambda _: None
    """Raises UsageError if the operator has no Prometheus of that name."""

    def read(self, key: Key) -> ReleaseResource:
        """See ReleaseStore. Raises UsageError for an invalid spec.

        A release that is in flight or being deleted continues without the invalid metric.
        """
        resource = self.store.read(key)
        if resource.status.intent is Intent.REST and resource.deleting_since is None:
            _check_metrics(resource, self.own_queries)
            if resource.spec.analysis.prometheus is not None:
                self.check_source(resource.spec.analysis.prometheus)
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
            check_expression(own_queries, metric.query, resource.namespace)


class EmptySource:
    """See MetricSource; a source without any scrape."""

    def read(
        self, queries: Sequence[SeriesQuery], _start: float, _end: float, _step: float
    ) -> Mapping[str, MetricAnswer]:
        """See MetricSource."""
        return {query.key: NoData("nothing has been scraped yet") for query in queries}

    def final_until(self, _now: float) -> float:
        """See MetricSource."""
        return 0.0


@dataclass(frozen=True, slots=True)
class MissingSource:
    """See MetricSource; a Prometheus that the operator does not know."""

    why: str

    def read(
        self, queries: Sequence[SeriesQuery], _start: float, _end: float, _step: float
    ) -> Mapping[str, MetricAnswer]:
        """See MetricSource."""
        return {query.key: NoData(self.why, partial=True) for query in queries}

    def final_until(self, now: float) -> float:
        """See MetricSource."""
        return float(math.floor(now))


class SelectedSource:
    """See ReleaseMetrics; uses the source that the release's spec names."""

    def __init__(
        self,
        batch: Callable[[str | None], QueryBatcher],
        ready: Callable[[], None],
        scrapers: Scrapers,
    ) -> None:
        """`batch` returns that of a Prometheus by name and raises UsageError.

        `ready` is called when a late answer has arrived.
        """
        self._batch = batch
        self._ready = ready
        self._scrapers = scrapers
        self._resource: ReleaseResource | None = None
        self._prometheus: tuple[QueryBatcher, NonBlockingSource] | None = None
        self._missing: MissingSource | None = None

    def select(self, resource: ReleaseResource) -> None:
        """Store the release as read; starts and stops no scrapes."""
        self._resource = resource
        if resource.spec.analysis.source is not AnalysisSource.PROMETHEUS:
            return
        try:
            batch = self._batch(resource.spec.analysis.prometheus)
        except UsageError as error:
            self._missing = MissingSource(str(error))
            return
        self._missing = None
        if self._prometheus is None or self._prometheus[0] is not batch:
            self._prometheus = batch, NonBlockingSource(batch, self._ready)
        self._prometheus[1].judged(resource.status.judged_until)

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer] | PendingAnswer:
        """See ReleaseMetrics."""
        return self._select_source().read(queries, start, end, step)

    def final_until(self, now: float) -> float:
        """See ReleaseMetrics."""
        return self._select_source().final_until(now)

    def follow(self, status: Status, judged_until: float | None) -> None:
        """Store up to when the release has been judged (seconds); start or stop its scrapes."""
        if judged_until is not None and self._prometheus is not None:
            self._prometheus[1].judged(judged_until)
        if (resource := self._resource) is None:
            return
        key, analysis = Key(resource.namespace, resource.name), resource.spec.analysis
        if analysis.source is AnalysisSource.SCRAPE and status.intent is not Intent.REST:
            self._scrapers.start(key, resource.spec.target.name, analysis.interval)
        else:
            self._scrapers.stop(key)

    def seconds_until_due(self, now: float) -> float | None:
        """Return seconds until there are new samples, if known."""
        source = self._select_source()
        return source.seconds_until_due(now) if isinstance(source, NonBlockingSource) else None

    def _select_source(self) -> ReleaseMetrics:
        resource = self._resource
        if resource is not None and resource.spec.analysis.source is AnalysisSource.PROMETHEUS:
            return self._missing or (self._prometheus[1] if self._prometheus else EmptySource())
        running = (
            self._scrapers.get(Key(resource.namespace, resource.name))
            if resource is not None
            else None
        )
        return running or EmptySource()


class WorldFactory:
    """Builds the World of each release, and keeps its metric source."""

    def __init__(
        self,
        common: World,
        sources: MetricSources,
        scrapers: Scrapers,
        wake: Callable[[Key], None],
        own_queries: OwnQueries,
    ) -> None:
        self._common = common
        self._batches = sources
        self._scrapers = scrapers
        self._wake = wake
        self._own_queries = own_queries
        self._sources: dict[Key, SelectedSource] = {}

    def get_world(self, key: Key) -> tuple[World, SelectedSource]:
        """Return the World of a release, and its metric source."""
        source = self._sources.get(key)
        if source is None:
            source = self._sources[key] = SelectedSource(
                self._batches.batch, lambda: self._wake(key), self._scrapers
            )
        releases = PresetCheckingStore(
            self._common.releases, source.select, self._own_queries, self._batches.batch
        )
        return replace(self._common, releases=releases, metrics=source), source

    def forget(self, key: Key) -> None:
        """Drop the metric source of a deleted release."""
        self._scrapers.stop(key)
        self._sources.pop(key, None)
