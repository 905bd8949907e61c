"""The wait against a cluster in memory: what is read, what is said, and how it ends."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from canary.api import HistoryEntry, Intent, MetricStatus, Reason, Release, Result, Status, Verdict
from canary.errors import ExitCode, NotFoundError, TransientError
from canary.gate.cluster import LEASE_INTERVAL, TARGET_INTERVAL, ClusterReader, LeaseHealth
from canary.gate.tracking import GateOptions
from canary.gate.waiter import HEARTBEAT_SECONDS, UNHANDLED_WARNING, GateWaiter
from canary.interfaces import Key
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import DEPLOYMENTS, LEASES, RELEASES, Kind, Object
from canary.kube.release_watch import ReleaseUpdate
from canary.kube.workloads.template import template_hash
from tests.kube.fixtures_release import (
    DEPLOYMENT,
    KEY,
    NAMESPACE,
    ReleaseOnFakeCluster,
    build_deployment,
)

VETTED = template_hash(build_deployment(DEPLOYMENT)["spec"]["template"])
LEASE = Key("canary-system", "canary-controller")


class WaitScenario:
    """A pipeline's gate; what happens meanwhile is a list of steps, ten seconds apart."""

    def __init__(self, *, seconds: float = 10.0, timeout: float = 600.0, **ask) -> None:
        self.stage = ReleaseOnFakeCluster()
        self.now = 1000.0
        self.said: list[str] = []
        self.step = seconds
        self.trouble = ""
        """Why the watch is broken."""
        pulse = LeaseHealth(self.stage.cluster, LEASE, lambda: 1_800_000_000.0 + self.now)
        self.waiter = GateWaiter(
            read_state=ClusterReader(self.stage.cluster, KEY, lambda: self.now).read,
            print_line=self.said.append,
            elapsed=lambda: self.now,
            operator_problem=pulse.describe_problem,
            options=GateOptions(**ask),
            timeout=timeout,
        )
        self.write(Status(stable_hash=VETTED, reason=Reason.AT_REST, observed_generation=1))

    def write(self, status: Status) -> None:
        """The operator writes its status."""
        with self._without_hook():
            self.stage.resource(status)

    def run(self, *events: Callable[[], object]):
        """The outcome."""
        return self.waiter.run(self._updates(events))

    def _updates(self, events) -> Iterator[ReleaseUpdate]:
        last = self._release()
        for event in (*events, *[lambda: None] * 1000):
            self.now += self.step
            event()
            release = self._release()
            changed = release != last
            yield ReleaseUpdate(
                release if changed else None, last if changed else None, self.trouble
            )
            last = release

    def _release(self) -> Object | None:
        """As the watch sees it, without a request."""
        with self._without_hook():
            return self.stage.cluster.get(RELEASES, NAMESPACE, "auth")

    @contextmanager
    def _without_hook(self) -> Iterator[None]:
        """Requests that are not the gate's."""
        before, self.stage.cluster.before = self.stage.cluster.before, None
        try:
            yield
        finally:
            self.stage.cluster.before = before


def flight(template: str, reason: Reason = Reason.HOLDING, **more) -> Status:
    """A release on its way."""
    release = Release(template=template, started_at=60.0, replicas=4)
    plain = Status(
        stable_hash=VETTED, intent=Intent.ADVANCE, release=release, reason=reason, weight=5
    )
    return plain.model_copy(update=more)


def ended(template: str, result: Result, reason: Reason, message: str = "") -> Status:
    """At rest after that release."""
    entry = HistoryEntry(
        template=template,
        result=result,
        reason=reason,
        message=message,
        started_at=60.0,
        ended_at=90.0,
        peak_weight=5,
    )
    promoted = result is Result.PROMOTED
    metric = MetricStatus(
        name="errors", verdict=Verdict.PASS if promoted else Verdict.FAIL, message=message
    )
    return Status(
        stable_hash=template if promoted else VETTED,
        rejected_hash=None if promoted else template,
        reason=reason,
        history=(entry,),
        analysis=(metric,),
    )


def test_nothing_to_release_is_no_wait():
    """The pipeline applied what runs already: it goes on at once."""
    scene = WaitScenario()
    found = scene.run()
    assert (found.code, scene.now) == (ExitCode.OK, 1000.0)
    assert found.headline == "runs everywhere already: nothing to release"
    assert scene.said == []


def test_a_promotion_is_followed_to_its_end():
    """Each change is one line; the outcome has a case per metric and the release's figures."""
    scene = WaitScenario()
    new = scene.stage.change()
    found = scene.run(
        lambda: scene.write(flight(new)),
        lambda: scene.write(flight(new, analysis=(MetricStatus(name="errors"),))),
        lambda: scene.write(flight(new, Reason.GATHERING_EVIDENCE, message="920 of 921.")),
        lambda: scene.write(ended(new, Result.PROMOTED, Reason.PROMOTED)),
    )
    assert (found.code, found.headline, found.seconds) == (ExitCode.OK, "promoted", 40.0)
    assert found.subject == "prod/auth"
    assert [(case.name, case.verdict) for case in found.cases] == [("errors", Verdict.PASS)]
    assert found.facts["peakWeight"] == 5
    assert found.facts["endedAt"] == "1970-01-01T00:01:30Z"
    assert found.facts["template"] == new
    assert scene.said == [
        "the operator has not started this release yet",
        "Pending at 5 %, step 1 of 1: Holding",
        "Pending at 5 %, step 1 of 1: GatheringEvidence. 920 of 921.",
    ]


def test_a_release_that_cannot_start_is_an_error_after_half_a_minute():
    """The route does not exist, and nobody creates it."""
    scene = WaitScenario()
    scene.stage.change()
    scene.write(Status(stable_hash=VETTED, reason=Reason.ROUTE_NOT_FOUND, observed_generation=1))
    found = scene.run()
    assert (found.code, scene.now) == (ExitCode.ERROR, 1000.0 + 30.0)
    assert found.headline.startswith("cannot start: RouteNotFound")


def test_the_release_before_never_answers_for_this_one():
    """The status still tells of the last failure; the template that was applied is another."""
    scene = WaitScenario()
    old = scene.stage.change("auth:2")
    scene.write(ended(old, Result.ROLLED_BACK, Reason.CONNECTION_LEAK))
    new = scene.stage.change("auth:3")
    found = scene.run(
        lambda: scene.write(flight(new)),
        lambda: scene.write(ended(new, Result.PROMOTED, Reason.PROMOTED)),
    )
    assert found.code is ExitCode.OK


def test_a_rollback_says_what_to_do():
    """Reason, message, failing case, runbook."""
    scene = WaitScenario()
    new = scene.stage.change()
    message = "4 connections are never given back."
    found = scene.run(
        lambda: scene.write(flight(new)),
        lambda: scene.write(ended(new, Result.ROLLED_BACK, Reason.CONNECTION_LEAK, message)),
    )
    assert found.code is ExitCode.FAILED
    assert found.headline == f"rolled back: ConnectionLeak. {message}"
    assert [case.verdict for case in found.cases] == [Verdict.FAIL]
    assert found.next_steps == (
        "canary explain auth -n prod",
        "canary retry auth -n prod",
        "https://canary-controller.dev/runbooks/ConnectionLeak",
    )


def test_applied_again_unchanged_fails_at_once():
    """Nothing new was deployed, and what was is rejected: no waiting for it."""
    scene = WaitScenario()
    new = scene.stage.change()
    scene.write(ended(new, Result.ROLLED_BACK, Reason.CANARY_OUTAGE))
    assert scene.run().code is ExitCode.FAILED
    assert scene.now == 1000.0


def test_a_newer_deployment_supersedes():
    """This pipeline's version was not judged; the newer one's pipeline waits for its own."""
    scene = WaitScenario()
    new = scene.stage.change("auth:2")
    found = scene.run(
        lambda: scene.write(flight(new)),
        lambda: scene.stage.change("auth:3"),
        lambda: scene.write(ended(new, Result.SUPERSEDED, Reason.TEMPLATE_CHANGED)),
    )
    assert found.code is ExitCode.INCONCLUSIVE
    assert found.headline.startswith("superseded")


def test_the_time_runs_out():
    """Not before, and the sentence says where the release was."""
    scene = WaitScenario(timeout=35.0)
    new = scene.stage.change()
    found = scene.run(lambda: scene.write(flight(new)))
    assert (found.code, found.seconds) == (ExitCode.TIMED_OUT, 40.0)
    text = "has not ended within 35s: Pending at 5 %, step 1 of 1: Holding"
    assert found.headline == text


def test_a_release_that_is_deleted_meanwhile():
    """There is nothing left to wait for."""
    scene = WaitScenario()
    new = scene.stage.change()
    found = scene.run(
        lambda: scene.write(flight(new)),
        lambda: scene.stage.cluster.delete(RELEASES, NAMESPACE, "auth", "Background"),
    )
    assert found.code is ExitCode.NOT_FOUND
    assert "deleted" in found.headline


def test_a_release_that_was_never_there():
    """The first look raises, so that the command can say what there is instead."""
    scene = WaitScenario()
    scene.stage.cluster.delete(RELEASES, NAMESPACE, "auth", "Background")
    with pytest.raises(NotFoundError):
        scene.run()


def test_an_api_server_that_is_down_for_a_while_ends_nothing():
    """It is said once, and the wait goes on; down at the first look it is an error."""
    scene = WaitScenario()
    new = scene.stage.change()

    def fall(*_: object) -> None:
        raise TransientError("cannot get canaryreleases auth: connection refused")

    def down() -> None:
        scene.stage.cluster.before = fall
        scene.trouble = "cannot watch canaryreleases auth: connection refused"

    def up() -> None:
        scene.stage.cluster.before, scene.trouble = None, ""
        scene.write(ended(new, Result.PROMOTED, Reason.PROMOTED))

    assert scene.run(down, lambda: None, up).code is ExitCode.OK
    warnings = [line for line in scene.said if line.startswith("warning")]
    assert warnings == ["warning: cannot watch canaryreleases auth: connection refused; retrying"]
    other = WaitScenario()
    other.stage.cluster.before = fall
    with pytest.raises(TransientError):
        other.run()


def test_the_time_runs_out_while_the_api_server_is_down():
    """A gate always ends."""
    scene = WaitScenario(timeout=50.0)
    scene.stage.change()

    def fall(*_: object) -> None:
        raise TransientError("down")

    def down() -> None:
        scene.stage.cluster.before = fall

    assert scene.run(down).code is ExitCode.TIMED_OUT


def lease(scene: WaitScenario, renewed: str, holder: str = "canary-0") -> None:
    """The operator's Lease."""
    body = {
        "metadata": {"name": LEASE.name, "namespace": LEASE.namespace},
        "spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 12},
    }
    scene.stage.cluster.put(LEASES, body)


@pytest.mark.parametrize(
    ("renewed", "holder", "said", "after"),
    [
        pytest.param(
            "2026-01-01T00:00:00.000000Z",
            "canary-0",
            "the operator is not running",
            0,
            id="long dead",
        ),
        pytest.param("2027-01-15T08:16:39Z", "", "nobody holds its Lease", 15, id="scaled to zero"),
        pytest.param(
            "2027-01-15T08:16:39Z",
            "canary-0",
            "the operator is not running",
            40,
            id="died just now",
        ),
        pytest.param(
            None,
            "",
            "is it running?",
            UNHANDLED_WARNING,
            id="its Lease is not to be seen",
        ),
    ],
)
def test_an_operator_that_does_nothing_is_said_early(renewed, holder, said, after):
    """Not only by the time-out."""
    scene = WaitScenario(timeout=120.0)
    scene.stage.change()
    if renewed is not None:
        lease(scene, renewed, holder)
    marks: list[float] = []
    scene.waiter.print_line = lambda line: (scene.said.append(line), marks.append(scene.now - 1000))
    assert scene.run().code is ExitCode.TIMED_OUT
    warnings = [(line, at) for line, at in zip(scene.said, marks, strict=True) if said in line]
    assert len(warnings) == 1, scene.said
    assert warnings[0][1] <= after


def test_a_lease_that_changes_hands_is_no_trouble():
    """While the operator restarts nobody holds it for a moment: that is not worth a word."""
    scene = WaitScenario(timeout=60.0)
    scene.stage.change()
    stamps = iter(f"2027-01-15T08:16:{second:02}Z" for second in range(60))
    lease(scene, next(stamps), holder="")
    scene.run(*[lambda: lease(scene, next(stamps))] * 12)
    assert [line for line in scene.said if "nobody holds" in line] == []


def test_an_operator_that_lives_and_looks_elsewhere():
    """It renews its Lease and takes nothing up: it may look after other namespaces only."""
    scene = WaitScenario(timeout=120.0)
    scene.stage.change()
    stamps = iter(f"2027-01-15T08:16:{second:02}Z" for second in range(60))
    lease(scene, next(stamps))
    scene.run(*[lambda: lease(scene, next(stamps))] * 12)
    (warning,) = [line for line in scene.said if "warning" in line]
    assert "for 30 s: does it reconcile this namespace?" in warning


def test_a_lease_that_may_not_be_read_is_asked_for_once():
    """An account without that right makes no noise in the audit log."""
    scene = WaitScenario(timeout=120.0)
    scene.stage.change()
    asked: list[str] = []

    def refuse(verb: str, kind: Kind, *_: str) -> None:
        if kind == LEASES:
            asked.append(verb)
            raise ForbiddenError("cannot get leases")

    scene.stage.cluster.before = refuse
    assert scene.run().code is ExitCode.TIMED_OUT
    assert asked == ["get"]


def test_a_silent_wait_is_said_again():
    """Some CI systems end a job that says nothing for ten minutes."""
    scene = WaitScenario(seconds=60.0, timeout=2 * HEARTBEAT_SECONDS)
    new = scene.stage.change()
    scene.write(flight(new))
    scene.run()
    assert len(scene.said) == 2


def test_an_interrupt_leaves_the_release_alone():
    """What is known is told; nothing was written."""
    scene = WaitScenario()
    new = scene.stage.change()
    scene.write(flight(new))
    before = scene.stage.cluster.writes

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scene.run(stop)
    found = scene.waiter.interrupted()
    assert found.code is ExitCode.INTERRUPTED
    assert "the release continues" in found.headline
    assert scene.stage.cluster.writes == before


def test_an_image_is_waited_for():
    """GitOps: the gate may be there before the commit is."""
    scene = WaitScenario(image="auth:9")
    found = scene.run(
        lambda: None,
        lambda: scene.write(flight(scene.stage.change("auth:9"))),
        lambda: scene.write(
            ended(scene.waiter._tracked.template, Result.PROMOTED, Reason.PROMOTED)
        ),
    )
    assert found.code is ExitCode.OK
    assert scene.said[0] == "the Deployment does not have auth:9 yet"


def test_a_deployment_that_is_deleted():
    """There is nothing that could be released."""
    scene = WaitScenario()
    scene.stage.change()
    found = scene.run(
        lambda: scene.stage.cluster.delete(DEPLOYMENTS, NAMESPACE, "auth", "Background")
    )
    assert found.code is ExitCode.NOT_FOUND


def test_a_long_wait_takes_few_requests():
    """Thirty minutes without a change: the watch delivers the release, the rest is read rarely."""
    scene = WaitScenario(seconds=2.0, timeout=1800.0)
    scene.write(flight(scene.stage.change()))
    lease(scene, "2027-01-15T08:16:39Z")
    requests: Counter[str] = Counter()
    scene.stage.cluster.before = lambda _verb, kind, *_: requests.update([kind.plural])
    assert scene.run().code is ExitCode.TIMED_OUT
    assert requests["canaryreleases"] == 1
    assert requests["deployments"] <= 1800 / TARGET_INTERVAL + 1
    assert requests["replicasets"] == 1
    assert requests["leases"] <= 1800 / LEASE_INTERVAL + 1
    assert requests.total() < 250


def test_a_changed_release_has_its_target_read_at_once():
    """The operator writes the status soon after a new template, so that is when to look."""
    scene = WaitScenario(seconds=2.0)
    new = scene.stage.change()
    requests: Counter[str] = Counter()
    scene.stage.cluster.before = lambda verb, kind, *_: requests.update([f"{verb} {kind.plural}"])
    found = scene.run(
        lambda: scene.write(flight(new)),
        lambda: None,
        lambda: scene.write(ended(new, Result.PROMOTED, Reason.PROMOTED)),
    )
    assert found.code is ExitCode.OK
    assert requests["get canaryreleases"] == 1
    assert requests["get deployments"] == 3
