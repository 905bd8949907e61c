"""One act of the demo: a release under load, with canary in charge or with nobody."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from canary.api import SENTENCES, CanaryRelease, Intent, Reason, load_release
from canary.api import Result as Ending
from canary.errors import UsageError
from canary.interfaces import Key, MetricSource, World
from canary.local.demo.names import Sources
from canary.local.demo.recorder import Recorder
from canary.local.demo.scenarios import OLD, Scenario
from canary.local.demo.stage import Stage, set_up
from canary.local.schedule import Profile
from canary.local.tally import Record
from canary.local.world import (
    NAMESPACE,
    LocalReleases,
    LocalTraffic,
    LocalWorkloads,
    Notices,
)
from canary.metrics.scrape import Scrape
from canary.observe import queries_of
from canary.reconcile import reconcile
from canary.render.timeline import Decision, Moment, Result, Timeline

HISTORY = 20.0
"""Seconds of load on the old version before the release: stable's usual rate."""
EPILOGUE = 3.0
"""Seconds of load after the end, so that the quiet can be seen."""
GIVE_UP = 240.0
"""Seconds: a release that has not ended by then counts as failed to end."""
ALERT = 0.05
"""Without canary somebody notices when so large a share of requests failed over 10 s."""
USERS = 5000

Show = Callable[[Moment, Sequence[Decision]], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to play: the seed of all chance, the release in charge, where its numbers come from."""

    seed: int
    release: CanaryRelease
    source: Sources = Sources.SCRAPE


def builtin_release() -> CanaryRelease:
    """The CanaryRelease that the demo plays by default."""
    text = files("canary.local.demo").joinpath("release.yaml").read_text(encoding="utf-8")
    return load_release(text, "the demo's release.yaml")


def own_release(path: str) -> CanaryRelease:
    """A user's CanaryRelease file.

    Raises:
        UsageError: it cannot be read, is wrong, or names another target than the demo has.
    """
    try:
        release = load_release(Path(path).read_bytes(), path)
    except OSError as error:
        raise UsageError(f"--release: {path} cannot be read: {error.strerror}") from error
    if release.spec.target.name != "auth" or release.spec.traffic.traefik is None:
        raise UsageError(
            f"--release: {path} must have the target auth and traffic.traefik, as the demo has"
        )
    return release


@contextmanager
def scraping(stage: Stage) -> Iterator[Scrape]:
    """Reads all metrics pages once a second, in a thread of its own."""
    scrape = Scrape(stage.cluster.targets)
    over = threading.Event()

    def every_second() -> None:
        while not over.wait(1.0 - stage.clock.now() % 1.0):
            scrape.poll(stage.clock.now())

    thread = threading.Thread(target=every_second, name="scrapes", daemon=True)
    thread.start()
    try:
        with closing(scrape):
            yield scrape
    finally:
        over.set()
        thread.join(5.0)


def play(scenario: Scenario, settings: Settings, show: Show, *, guarded: bool) -> Timeline:
    """The whole act; `show` sees every second of it.

    Raises:
        LocalError: a process that the demo needs did not start, or died.
    """
    profile = Profile(scenario.rate, scenario.day, USERS, settings.seed)
    with set_up(OLD, profile) as stage, scraping(stage) as scrape:
        act = Act(scenario, settings, stage, scrape, show)
        return act.with_canary() if guarded else act.without_canary()


class Act:
    """The state of one act."""

    def __init__(
        self, scenario: Scenario, settings: Settings, stage: Stage, scrape: Scrape, show: Show
    ) -> None:
        self.scenario = scenario
        self.settings = settings
        self.stage = stage
        self.show = show
        self.source: MetricSource = scrape
        self.recorder = Recorder(stage.cluster, scrape, stage.clock.now() + HISTORY)
        self.releases = LocalReleases("auth", settings.release.spec)
        self.notices = Notices()
        self.key = Key(NAMESPACE, "auth")
        self.world = World(
            clock=stage.clock,
            releases=self.releases,
            workloads=LocalWorkloads(stage.cluster),
            traffic=LocalTraffic(stage.cluster),
            metrics=self.source,
            notifier=self.notices,
        )
        self._due = 0.0
        self._shown = 0.0
        self._lines: list[Record] = []

    def with_canary(self) -> Timeline:
        """Canary holds the Deployment, takes the new version by steps, and decides."""
        self._know_the_queries()
        self._run(lambda now: now >= self.recorder.began, guarded=True)
        self.stage.cluster.deploy(self.scenario.build)
        self._due = 0.0
        self._run(self._ended, guarded=True)
        after = self.stage.clock.now() + EPILOGUE
        self._run(lambda now: now >= after, guarded=True)
        return self._timeline(self._guarded_result(), guarded=True)

    def without_canary(self) -> Timeline:
        """The new version goes to everybody at once, by a rolling update."""
        self._run(lambda now: now >= self.recorder.began, guarded=False)
        self.stage.cluster.deploy(self.scenario.build)
        until = self.recorder.began + self.scenario.watch
        self._run(lambda now: now >= until, guarded=False)
        return self._timeline(self._outage_result(), guarded=False)

    def _know_the_queries(self) -> None:
        """Stable's history is there when the release begins."""
        reconcile(self.world, self.key)
        wish = self.releases.read(self.key)
        workload, route = self.world.workloads.look(wish), self.world.traffic.look(wish)
        queries = queries_of(wish, workload, route)
        now = float(int(self.stage.clock.now()))
        self.source.read(queries, now, now, 1.0)

    def _run(self, over: Callable[[float], bool], *, guarded: bool) -> None:
        if self.stage.traffic is None:
            self.stage.open_doors()
        while True:
            now = self.stage.pass_time()
            if guarded and now >= self._due:
                again = reconcile(self.world, self.key).again_after
                self._due = now + (again if again is not None else 1.0)
            if now - self._shown >= 1.0:
                self._shown = now
                wish = self.releases.read(self.key) if guarded else None
                self.show(self.recorder.look(now, wish), self.recorder.hear(self.notices.told))
            if over(now):
                return

    def _ended(self, now: float) -> bool:
        status = self.releases.status
        paused = status.release is not None and status.release.pause is not None
        done = status.intent is Intent.REST and bool(status.history)
        return done or paused or now - self.recorder.began > GIVE_UP

    def _timeline(self, result: Result, *, guarded: bool) -> Timeline:
        steps = ", ".join(f"{step.weight} %" for step in self.settings.release.spec.steps)
        facts = {
            "scenario": self.scenario.story,
            "load": f"up to {self.scenario.rate:g} requests/s from {USERS} users",
            "seed": str(self.settings.seed),
        }
        if guarded:
            facts["steps"] = steps
        return Timeline(
            title=f"{self.scenario.name}, {'with' if guarded else 'without'} canary",
            guarded=guarded,
            facts=facts,
            moments=tuple(self.recorder.moments),
            decisions=tuple(self.recorder.decisions),
            result=result,
        )

    def _sums(self) -> Record:
        if self.stage.traffic is None:
            raise LookupError("no load was started")
        return self.stage.traffic.finish()

    def _guarded_result(self) -> Result:
        status, sums = self.releases.status, self._sums()
        entry = status.history[0] if status.history else None
        rolled_back = next((d for d in self.recorder.decisions if d.phase == "RollingBack"), None)
        return Result(
            ended=entry.result if entry else status.phase,
            reason=entry.reason if entry else status.reason,
            sentence=(entry and entry.message) or SENTENCES[status.reason],
            requests=sum(sums.logins_ok.values()) + sum(sums.logins_failed.values()),
            failed=sum(sums.logins_failed.values()),
            users=sums.users,
            users_hit=sums.users_hit,
            detected_after=rolled_back.time if rolled_back else None,
            weight_zero_after=self._weight_zero_after(rolled_back),
            peak_weight=entry.peak_weight if entry else status.weight,
            peak_pool=self._peak_pool(),
            failed_by_version=sums.logins_failed,
        )

    def _weight_zero_after(self, rolled_back: Decision | None) -> float | None:
        if rolled_back is None:
            return None
        later = (
            m.time for m in self.recorder.moments if m.time >= rolled_back.time and not m.weight
        )
        return next(later, None)

    def _outage_result(self) -> Result:
        sums = self._sums()
        alerts = (
            m.time
            for m in self.recorder.moments
            if m.time > 0 and (m.stable.error_ratio or 0.0) >= ALERT
        )
        noticed = next(alerts, None)
        bad = noticed is not None
        worst = max((m.stable.error_ratio or 0.0 for m in self.recorder.moments), default=0.0)
        outage = f"Up to {worst:.0%} of all requests failed, and nobody took the traffic away."
        shipped = "Everybody has the new version, and fewer than 5 % of requests fail."
        ended = "Outage" if bad else "Shipped"
        return Result(
            ended=ended,
            reason=ended,
            sentence=outage if bad else shipped,
            requests=sum(sums.logins_ok.values()) + sum(sums.logins_failed.values()),
            failed=sum(sums.logins_failed.values()),
            users=sums.users,
            users_hit=sums.users_hit,
            detected_after=noticed,
            peak_weight=100,
            peak_pool=self._peak_pool(),
            failed_by_version=sums.logins_failed,
        )

    def _peak_pool(self) -> float | None:
        pools = (pool for moment in self.recorder.moments for pool in moment.pools)
        return max((pool.in_use / pool.maximum for pool in pools if pool.maximum), default=None)


def as_it_must(scenario: Scenario, timeline: Timeline) -> bool:
    """Whether the act ended as its scenario has to."""
    result = timeline.result
    if not timeline.guarded:
        return scenario.good == (result.ended == "Shipped")
    if scenario.good:
        return result.ended == Ending.PROMOTED
    return result.ended == Ending.ROLLED_BACK and Reason(result.reason) in scenario.reasons
