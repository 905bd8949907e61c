"""Plays one act of the demo: a release under load, with or without canary."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from canary.api import Intent
from canary.demo.act_result import DETECTION, guarded_result, outage_result
from canary.demo.choices import MetricsSourceName
from canary.demo.cluster.world import (
    NAMESPACE,
    LocalReleases,
    LocalTraffic,
    LocalWorkloads,
    NoticeCollector,
)
from canary.demo.environment import (
    PROMETHEUS_INTERVAL,
    DemoEnvironment,
    run_prometheus,
    scrape_pages,
    start_environment,
)
from canary.demo.load.schedule import LoadProfile
from canary.demo.load.tally import LoadRecord
from canary.demo.recorder import DemoRecorder
from canary.demo.scenarios import OLD_BUILD, DemoScenario
from canary.demo.settings import DemoSettings
from canary.errors import TransientError
from canary.interfaces import Key, MetricSource, World
from canary.metrics.scrape import Scrape
from canary.observe import list_queries
from canary.reconcile import reconcile
from canary.render.timeline import Moment, ReleaseDecision, ReleaseSummary, Timeline

EPILOGUE_SECONDS = 3.0
"""Seconds of load after the end of the release, which show that errors stopped."""
GIVE_UP_SECONDS = 240.0
"""Seconds after which a release that has not ended counts as failed."""
USERS = 5000

ShowMoment = Callable[[Moment, Sequence[ReleaseDecision]], None]


def play_act(
    scenario: DemoScenario, settings: DemoSettings, show: ShowMoment, *, guarded: bool
) -> Timeline:
    """Play an act; `show` is called every second.

    Raises:
        LocalError: a process of the demo did not start, or died.
    """
    profile = LoadProfile(scenario.rate, scenario.day, USERS, settings.seed)
    with (
        start_environment(OLD_BUILD, profile) as environment,
        scrape_pages(environment) as scrape,
        ExitStack() as stack,
    ):
        source: MetricSource = scrape
        if guarded and settings.source is MetricsSourceName.PROMETHEUS:
            source = stack.enter_context(run_prometheus(environment))
        act = DemoAct(scenario, settings, environment, (source, scrape), show)
        return act.with_canary() if guarded else act.without_canary()


class DemoAct:
    """The state of one act."""

    def __init__(
        self,
        scenario: DemoScenario,
        settings: DemoSettings,
        environment: DemoEnvironment,
        sources: tuple[MetricSource, Scrape],
        show: ShowMoment,
    ) -> None:
        self.scenario = scenario
        self.settings = settings
        self.environment = environment
        self.show = show
        self.source, scrape = sources
        self.recorder = DemoRecorder(
            environment.cluster, scrape, environment.clock.now() + settings.history
        )
        self.releases = LocalReleases("auth", settings.spec)
        self.notices = NoticeCollector()
        self.key = Key(NAMESPACE, "auth")
        self.world = World(
            clock=environment.clock,
            releases=self.releases,
            workloads=LocalWorkloads(environment.cluster),
            traffic=LocalTraffic(environment.cluster),
            metrics=self.source,
            notifier=self.notices,
        )
        self._due = 0.0
        self._shown = 0.0
        self._zero_after: float | None = None

    def with_canary(self) -> Timeline:
        """Release the new version in steps, under canary's control."""
        self._register_queries()
        self._run_until(lambda now: now >= self.recorder.began, guarded=True)
        self.environment.cluster.deploy(self.scenario.build)
        self._due = 0.0
        self._run_until(self._has_ended, guarded=True)
        after = self.environment.clock.now() + EPILOGUE_SECONDS
        self._run_until(lambda now: now >= after, guarded=True)
        status, sums = self.releases.status, self._read_sums()
        result = guarded_result(status, self.recorder, sums, self._zero_after)
        return self._build_timeline(result, guarded=True)

    def without_canary(self) -> Timeline:
        """Release the new version to all users at once, by a rolling update."""
        self._run_until(lambda now: now >= self.recorder.began, guarded=False)
        self.environment.cluster.deploy(self.scenario.build)
        until = self.recorder.began + self.scenario.watch
        self._run_until(lambda now: now >= until, guarded=False)
        return self._build_timeline(outage_result(self.recorder, self._read_sums()), guarded=False)

    def _register_queries(self) -> None:
        """Register the queries, so that stable's history exists when the release begins."""
        reconcile(self.world, self.key)
        resource = self.releases.read(self.key)
        workload, route = self.world.workloads.read(resource), self.world.traffic.read(resource)
        queries = list_queries(resource, workload, route)
        now = float(int(self.environment.clock.now()))
        self.source.read(queries, now, now, 1.0)

    def _run_until(self, over: Callable[[float], bool], *, guarded: bool) -> None:
        if self.environment.traffic is None:
            self.environment.start_load()
        while True:
            now = self.environment.advance()
            if guarded and now >= self._due:
                self._due = now + self._reconcile_release()
            if guarded:
                self._time_weight_zero(now)
            if now - self._shown >= 1.0:
                self._shown = now
                resource = self.releases.read(self.key) if guarded else None
                self.show(
                    self.recorder.record_moment(now, resource),
                    self.recorder.record_decisions(self.notices.received),
                )
            if over(now):
                return

    def _reconcile_release(self) -> float:
        """Reconcile once; returns the seconds until the next time."""
        try:
            again = reconcile(self.world, self.key).requeue_after
        except TransientError as error:
            return error.retry_after
        return 1.0 if again is None else again

    def _time_weight_zero(self, now: float) -> None:
        """Note when Traefik itself reports weight 0, not when it was written."""
        rolling_back = self.releases.status.intent is Intent.ROLL_BACK
        if self._zero_after is None and rolling_back and self.environment.cluster.routed:
            self._zero_after = now - self.recorder.began

    def _has_ended(self, now: float) -> bool:
        status = self.releases.status
        paused = status.release is not None and status.release.pause is not None
        done = status.intent is Intent.REST and bool(status.history)
        return done or paused or now - self.recorder.began > GIVE_UP_SECONDS

    def _build_timeline(self, result: ReleaseSummary, *, guarded: bool) -> Timeline:
        steps = ", ".join(f"{step.weight} %" for step in self.settings.spec.steps)
        facts = {
            "scenario": self.scenario.story,
            "load": f"up to {self.scenario.rate:g} requests/s from {USERS} users",
            "seed": str(self.settings.seed),
        }
        if guarded:
            facts["steps"] = steps
            every = (
                PROMETHEUS_INTERVAL if self.settings.source is MetricsSourceName.PROMETHEUS else 1.0
            )
            facts["numbers from"] = f"{self.settings.source}, scraped every {every:g} s"
        else:
            facts["detection"] = DETECTION
        return Timeline(
            title=f"{self.scenario.name}, {'with' if guarded else 'without'} canary",
            guarded=guarded,
            facts=facts,
            moments=tuple(self.recorder.moments),
            decisions=tuple(self.recorder.decisions),
            result=result,
        )

    def _read_sums(self) -> LoadRecord:
        if self.environment.traffic is None:
            raise LookupError("no load was started")
        return self.environment.traffic.finish()
