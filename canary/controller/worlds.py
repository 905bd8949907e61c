"""The World of each release: one cluster for all, the router and the metric source of its spec."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from canary.api import Intent, Source, Status
from canary.controller.scrapers import Scrapers
from canary.core.plan import TrafficAction
from canary.core.series import MetricAnswer, NoData, SeriesQuery
from canary.core.snapshot import Route, Wish
from canary.interfaces import Key, MetricSource, ReleaseStore, World
from canary.kube.objects import Objects
from canary.metrics.batch import QueryBatcher
from canary.metrics.nonblocking import NonBlockingSource
from canary.metrics.queries import preset_of
from canary.routers.registry import router_of


@dataclass(frozen=True, slots=True)
class Routers:
    """See TrafficRouter: whichever the spec names."""

    objects: Objects

    def look(self, wish: Wish) -> Route | None:
        """See TrafficRouter."""
        return router_of(wish.spec.traffic, self.objects).look(wish)

    def apply(self, wish: Wish, action: TrafficAction) -> None:
        """See TrafficRouter."""
        router_of(wish.spec.traffic, self.objects).apply(wish, action)


@dataclass(frozen=True, slots=True)
class KnownReleases:
    """See ReleaseStore: refuses what no schema can, and says what was read.

    The presets are looked up here, because nothing in the API server knows their names.
    """

    store: ReleaseStore
    seen: Callable[[Wish], None]

    def read(self, key: Key) -> Wish:
        """See ReleaseStore. Raises UsageError for a spec that cannot be followed.

        One in flight, or on its way out, goes on: without that metric, but protected.
        """
        wish = self.store.read(key)
        if wish.status.intent is Intent.REST and wish.deleting_since is None:
            _look_up_presets(wish)
        self.seen(wish)
        return wish

    def write_status(self, wish: Wish, status: Status) -> None:
        """See ReleaseStore."""
        self.store.write_status(wish, status)

    def let_go(self, wish: Wish) -> None:
        """See ReleaseStore."""
        self.store.let_go(wish)


def _look_up_presets(wish: Wish) -> None:
    for metric in wish.spec.analysis.metrics:
        preset_of(metric)


class Nothing:
    """The source of a release at rest that scrapes for itself: nobody asks it."""

    def read(
        self, queries: Sequence[SeriesQuery], _start: float, _end: float, _step: float
    ) -> Mapping[str, MetricAnswer]:
        """See MetricSource."""
        return {query.key: NoData("nothing has been scraped yet") for query in queries}

    def settled(self, _now: float) -> float:
        """See MetricSource."""
        return 0.0


@dataclass
class Chosen:
    """See MetricSource: the one that the release's spec names, as it was read last."""

    patient: NonBlockingSource
    scrapers: Scrapers
    source: MetricSource = field(default_factory=Nothing)

    def choose(self, wish: Wish) -> None:
        """Scrapes only while a release is in flight."""
        key, analysis = Key(wish.namespace, wish.name), wish.spec.analysis
        if analysis.source is Source.SCRAPE and wish.status.intent is not Intent.REST:
            self.source = self.scrapers.running(key, wish.spec.target.name, analysis.interval)
            return
        self.scrapers.stop(key)
        self.patient.judged(wish.status.judged_until)
        self.source = self.patient if analysis.source is Source.PROMETHEUS else Nothing()

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        """See MetricSource. Raises LateError."""
        return self.source.read(queries, start, end, step)

    def settled(self, now: float) -> float:
        """See MetricSource."""
        return self.source.settled(now)

    def judged(self, until: float | None) -> None:
        """Up to when the last pass has judged (seconds)."""
        if until is not None:
            self.patient.judged(until)

    def due(self, now: float) -> float | None:
        """Seconds until there is something new to read, where that is known."""
        return self.patient.due(now) if self.source is self.patient else None


class Worlds:
    """Makes each release's World, and keeps what belongs to it alone."""

    def __init__(
        self, common: World, batch: QueryBatcher, scrapers: Scrapers, wake: Callable[[Key], None]
    ) -> None:
        self._common = common
        self._batch = batch
        self._scrapers = scrapers
        self._wake = wake
        self._chosen: dict[Key, Chosen] = {}

    def of(self, key: Key) -> tuple[World, Chosen]:
        """The release's World, and its metric source by itself."""
        chosen = self._chosen.get(key)
        if chosen is None:
            patient = NonBlockingSource(self._batch, lambda: self._wake(key))
            chosen = self._chosen[key] = Chosen(patient, self._scrapers)
        releases = KnownReleases(self._common.releases, chosen.choose)
        return replace(self._common, releases=releases, metrics=chosen), chosen

    def forget(self, key: Key) -> None:
        """The release is gone."""
        self._scrapers.stop(key)
        self._chosen.pop(key, None)
