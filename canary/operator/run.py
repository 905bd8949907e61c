"""Assembles the operator, and starts and ends its parts in order."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from canary.errors import NotFoundError
from canary.fair_executor import FairExecutor
from canary.interfaces import Clock, Key, World
from canary.kube.cached import ApiServer, CachedObjects
from canary.kube.event_writer import KubeNotifier
from canary.kube.leases import Elector, LeaderCallbacks
from canary.kube.objects import RELEASES, Kind, Objects
from canary.kube.reflector import ListWatchSource
from canary.kube.releases import KubeReleases
from canary.kube.timing import Stopper, Timing
from canary.kube.workloads import KubeWorkloads, Webhooks
from canary.kube.workloads.webhooks import build_poster
from canary.metrics.batch import QueryBatcher
from canary.metrics.query_api import PrometheusOptions
from canary.metrics.scrape import MOST_TARGETS, ScrapeOptions
from canary.notify.dispatcher import FanOutNotifier, NotificationDispatcher
from canary.notify.metrics import NotificationMetrics
from canary.notify.secrets import ClusterSecrets, MountedSecrets
from canary.notify.sender import PayloadSender
from canary.operator.controller import Controller
from canary.operator.metric_sources import ClosableSource, MetricSources
from canary.operator.metrics import QUEUE, OperatorMetrics
from canary.operator.pause_mode import PauseModeWatcher
from canary.operator.reconciler import ReleaseReconciler
from canary.operator.scrapers import Scraper, Scrapers, ScrapeTargets, Scraping
from canary.operator.settings import OperatorSettings
from canary.operator.watches import Watches, kinds_served
from canary.operator.world_factory import EmptySource, RouterOfSpec, WorldFactory

_log = logging.getLogger(__name__)

SYNC_TIMEOUT = 120.0
"""Seconds after which a first list that fails ends the start, with its cause."""
SCRAPE_THREADS, SCRAPE_SHARE = 32, 8
"""Maximum number of threads for scrapes, in total and for one namespace."""
JOIN_TIMEOUT = 2.0
"""Seconds to wait for a thread to end."""


class OperatorCluster(ApiServer, ListWatchSource, Protocol):
    """An API server: canary.kube.client.Client."""

    def serves_kind(self, kind: Kind) -> bool:
        """Return whether the cluster serves this kind."""
        ...


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """The views on the API server that the operator uses."""

    plain: OperatorCluster
    fenced: Callable[[Callable[[], float]], ApiServer]
    """Returns a view that writes only while the function returns more than 0 seconds."""
    election: Objects
    """Client for leader election, with short timeouts."""


class Operator:
    """The operator. The constructor sends no request and starts no election; `run` does."""

    def __init__(  # noqa: PLR0913, PLR0917  # each is one thing that a test replaces
        self,
        settings: OperatorSettings,
        api: ApiAccess,
        connect: Callable[[PrometheusOptions], ClosableSource],
        telemetry: OperatorMetrics,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._settings = settings
        self._api = api
        self._clock = clock
        self._timing = timing
        self._telemetry = telemetry
        self._sources = MetricSources(
            settings.prometheus.select,
            connect,
            lambda source: QueryBatcher(
                source, count=telemetry.queries.inc, own_queries=settings.own_queries
            ),
        )
        self._webhooks = Webhooks(build_poster(settings.addresses))
        self._scraping = Scraping(
            ScrapeOptions(page=settings.page, addresses=settings.addresses),
            FairExecutor(SCRAPE_THREADS, SCRAPE_SHARE, "scrape", waiting=MOST_TARGETS),
            clock,
        )
        self._pause_mode = PauseModeWatcher(api.plain, settings.hold, settings.policy)
        self._resign = Stopper(timing)
        self._elector = self._build_elector() if settings.lease is not None else None
        self._election: threading.Thread | None = None
        self._stopping = threading.Event()
        self._watches: Watches | None = None
        self._controller: Controller | None = None
        self._notifier: KubeNotifier | None = None
        self._dispatcher: NotificationDispatcher | None = None
        self._scrapers: Scrapers | None = None
        self._leading = False

    @property
    def leading(self) -> bool:
        """Whether this replica leads and reconciles."""
        return self._leading

    def live(self) -> list[str]:
        """Return why this process has to be restarted; empty when it works."""
        wrong = []
        if self._controller is not None and (problem := self._controller.problem):
            wrong.append(problem)
        if self._watches is not None and not self._stopping.is_set():
            wrong += [f"the watch of {name} has ended" for name in self._watches.dead]
        if self._election is not None and not self._election.is_alive():
            wrong.append("the election has ended")
        return wrong

    def ready(self) -> list[str]:
        """Return why this replica cannot take over now; empty when it can."""
        if self._stopping.is_set():
            return ["shutting down"]
        if self._watches is None or not self._watches.synced:
            return ["the caches are not filled yet"]
        return []

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set.

        Raises CanaryError when it cannot start: API server unreachable, forbidden, or no CRD.
        """
        try:
            self._start_work(stop)
            stop.wait()
        finally:
            self._stop_work()

    def _start_work(self, stop: threading.Event) -> None:
        check_access(self._api.plain, self._settings.namespaces)
        mode = self._pause_mode.detect()
        _log.info("the pause mode is %s", mode.value)
        kinds = kinds_served(self._api.plain.serves_kind)
        watches = Watches(self._api.plain, self._timing, kinds, self._settings.namespaces)
        self._watches = watches
        controller = self._controller = self._build_controller(watches)
        watches.start(controller.changed)
        watches.wait(SYNC_TIMEOUT, stop.is_set)
        self._pause_mode.follow(controller.wake_all)
        self._add_gauges(controller)
        if stop.is_set():
            return
        if self._elector is None:
            self._start_leading()
        else:
            self._election = threading.Thread(target=self._elector.run, name="lease", daemon=True)
            self._election.start()

    def _build_controller(self, watches: Watches) -> Controller:
        server = self._api.fenced(self._elector.remaining) if self._elector else self._api.plain
        objects = CachedObjects(server, watches.caches, self._timing)
        notifier = self._notifier = KubeNotifier(objects, self._clock, self._settings.instance)
        releases = KubeReleases(objects, notifier.warn)
        scrapers = self._scrapers = Scrapers(lambda *what: self._build_scraper(objects, *what))
        workloads = KubeWorkloads(objects, self._pause_mode, self._webhooks)
        world = World(
            clock=self._clock,
            releases=releases,
            workloads=workloads,
            traffic=RouterOfSpec(objects),
            metrics=EmptySource(),
            notifier=FanOutNotifier(notifier, self._build_dispatcher(objects, notifier)),
        )
        reconciler = ReleaseReconciler(
            worlds=WorldFactory(
                world, self._sources, scrapers, self._wake_release, self._settings.own_queries
            ),
            refusals=releases,
            clock=self._clock,
            warn=notifier.warn,
            exists=lambda key: objects.get(RELEASES, key.namespace, key.name) is not None,
            abandon=workloads.abandon,
            forget=notifier.forget,
            observer=self._telemetry.releases,
        )
        return Controller(
            reconciler,
            self._timing,
            list_keys=watches.keys,
            observer=self._telemetry.queue,
            workers=self._settings.workers,
        )

    def _build_dispatcher(
        self, objects: CachedObjects, events: KubeNotifier
    ) -> NotificationDispatcher:
        self._dispatcher = NotificationDispatcher(
            self._settings.notify,
            MountedSecrets(self._settings.notify_secrets),
            ClusterSecrets(objects),
            PayloadSender(self._settings.addresses, proxy=self._settings.notify_proxy).send,
            NotificationMetrics(self._telemetry.registry),
            events.warn,
            self._clock,
            self._timing,
        )
        return self._dispatcher

    def _wake_release(self, key: Key) -> None:
        if self._controller is not None:
            self._controller.wake(key)

    def _build_scraper(
        self, objects: CachedObjects, key: Key, target: str, interval: float
    ) -> Scraper:
        pages = ScrapeTargets(objects, key, target, self._settings.router_metrics)
        return Scraper(pages, interval, self._scraping, lambda: self._wake_release(key))

    def _build_elector(self) -> Elector:
        if self._settings.lease is None:
            raise LookupError("an elector needs a lease")
        return Elector(
            self._api.election,
            self._settings.lease,
            LeaderCallbacks(self._start_leading, self._stop_leading),
            self._clock,
            self._resign,
            self._settings.terms,
        )

    def _start_leading(self) -> None:
        self._leading = True
        if self._controller is not None:
            self._controller.start()

    def _stop_leading(self) -> None:
        """Stop all reconciles and scrapes; the caches stay up to date."""
        if self._controller is not None:
            self._controller.stop()
        if self._scrapers is not None:
            self._scrapers.close()
        self._telemetry.releases.clear()
        self._leading = False

    def _add_gauges(self, controller: Controller) -> None:
        lease = self._settings.lease.name if self._settings.lease else ""
        gauges: tuple[tuple[str, str, str, Callable[[], float]], ...] = (
            (
                "workqueue_depth",
                "Number of releases in the queue that are due for a reconcile.",
                QUEUE,
                lambda: controller.depth,
            ),
            (
                "workqueue_unfinished_work_seconds",
                "Total age of running reconciles in seconds.",
                QUEUE,
                lambda: sum(controller.working),
            ),
            (
                "workqueue_longest_running_processor_seconds",
                "Age of the longest running reconcile in seconds.",
                QUEUE,
                lambda: max(controller.working, default=0.0),
            ),
            (
                "leader_election_master_status",
                "1 if this replica is the leader, 0 otherwise.",
                lease,
                lambda: float(self._leading),
            ),
        )
        for gauge in gauges:
            self._telemetry.add_gauge(*gauge)

    def _stop_work(self) -> None:
        """End the reconciles, then release the lease for the next leader, then end the rest."""
        self._stopping.set()
        if self._elector is not None and self._election is not None:
            self._resign.stop()
            self._election.join()
        elif self._leading:
            self._stop_leading()
        if self._notifier is not None:
            self._notifier.close()
        if self._dispatcher is not None:
            self._dispatcher.close()
        self._pause_mode.stop()
        if self._watches is not None:
            self._watches.stop(JOIN_TIMEOUT)
        self._sources.close()
        self._webhooks.close()
        _log.info("the operator has stopped")


def check_access(cluster: OperatorCluster, namespaces: tuple[str, ...]) -> None:
    """Check API server, CRD and rights, so that a wrong installation fails at the start.

    Raises TransientError, NotFoundError, PermanentError.
    """
    if not cluster.serves_kind(RELEASES):
        raise NotFoundError(
            "the cluster has no CanaryReleases: install the definition first, "
            "with `canary manifests crd | kubectl apply -f -`"
        )
    for namespace in namespaces or ("",):
        cluster.listing(RELEASES, namespace, {})
