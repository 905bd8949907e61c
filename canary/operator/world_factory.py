"""The World of each release: one cluster for all, the router and the metric source of its spec."""

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
    """See TrafficRouter: whichever the spec names."""

    objects: Objects

    def read(self, resource: ReleaseResource) -> Route | None:
        """See TrafficRouter."""
        return router_of(resource.spec.traffic, self.objects).read(resource)

    def apply(self, resource: ReleaseResource, action: TrafficAction) -> None:
        """See TrafficRouter."""
        router_of(resource.spec.traffic, self.objects).apply(resource, action)


@dataclass(frozen=True, slots=True)
class PresetCheckingStore:
    """See ReleaseStore: refuses what no schema can, and says what was read.

    The presets are looked up here, because nothing in the API server knows their names.
    """

    store: ReleaseStore
    seen: Callable[[ReleaseResource], None]
    own_queries: OwnQueries = OwnQueries.ON

    def read(self, key: Key) -> ReleaseResource:
        """See ReleaseStore. Raises UsageError for a spec that cannot be followed.

        One in flight, or on its way out, goes on: without that metric, but protected.
        """
        resource = self.store.read(key)
        if resource.status.intent is Intent.REST and resource.deleting_since is None:
            _check_metrics(resource, self.own_queries)
        self.seen(resource)
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
    """See MetricSource: where nothing is scraped."""

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
    """See ReleaseMetrics: the source that the release's spec names, as it was read last."""

    prometheus: NonBlockingSource
    scrapers: Scrapers
    _wish: ReleaseResource | None = None

    def select(self, resource: ReleaseResource) -> None:
        """Remembers what the spec names; starts and ends nothing."""
        self._wish = resource
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
        """After a pass: up to when it has judged (seconds), and whether pages are scraped now."""
        if judged_until is not None:
            self.prometheus.judged(judged_until)
        if (resource := self._wish) is None:
            return
        key, analysis = Key(resource.namespace, resource.name), resource.spec.analysis
        if analysis.source is AnalysisSource.SCRAPE and status.intent is not Intent.REST:
            self.scrapers.start(key, resource.spec.target.name, analysis.interval)
        else:
            self.scrapers.stop(key)

    def due(self, now: float) -> float | None:
        """Seconds until there is something new to read, where that is known."""
        return self.prometheus.due(now) if self._source() is self.prometheus else None

    def _source(self) -> ReleaseMetrics:
        resource = self._wish
        if resource is not None and resource.spec.analysis.source is AnalysisSource.PROMETHEUS:
            return self.prometheus
        running = (
            self.scrapers.get(Key(resource.namespace, resource.name))
            if resource is not None
            else None
        )
        return running or EmptySource()


class WorldFactory:
    """Makes each release's World, and keeps what belongs to it alone."""

    def __init__(
        self, common: World, batch: QueryBatcher, scrapers: Scrapers, wake: Callable[[Key], None]
    ) -> None:
        self._common = common
        self._batch = batch
        self._scrapers = scrapers
        self._wake = wake
        self._sources: dict[Key, SelectedSource] = {}

    def of(self, key: Key) -> tuple[World, SelectedSource]:
        """The release's World, and its metric source by itself."""
        source = self._sources.get(key)
        if source is None:
            prometheus = NonBlockingSource(self._batch, lambda: self._wake(key))
            source = self._sources[key] = SelectedSource(prometheus, self._scrapers)
        releases = PresetCheckingStore(
            self._common.releases, source.select, self._batch.own_queries
        )
        return replace(self._common, releases=releases, metrics=source), source

    def forget(self, key: Key) -> None:
        """The release is gone."""
        self._scrapers.stop(key)
        self._sources.pop(key, None)
