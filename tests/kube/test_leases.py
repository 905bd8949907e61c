"""The elector: one leader, who stops writing before there can be another."""

import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.errors import NotFoundError, TransientError
from canary.kube.leases import Elector, LeaderCallbacks, LeaseName, LeaseTerms, format_micro_time
from canary.kube.objects import LEASES, JsonPatch, Kind, Object
from canary.kube.timing import Stopper
from tests.kube.fake_cluster import FakeCluster
from tests.kube.manual_timing import ManualTiming

TERMS = LeaseTerms()
NS = "canary"


@dataclass
class Replica:
    """One process: its own view of time, its own network."""

    name: str
    cluster: FakeCluster
    timing: ManualTiming
    skew: float = 0.0
    """Seconds by which its wall clock is wrong."""
    down: bool = False
    """It cannot reach the API server."""
    lost: bool = False
    """Its writes arrive, the answers do not."""
    story: list[str] = field(default_factory=list)
    next: float = 0.0

    def __post_init__(self) -> None:
        callbacks = LeaderCallbacks(self.started, self.stopped)
        lease = LeaseName(NS, "canary", self.name)
        self.stopper = Stopper(self.timing)
        self.elector = Elector(self, lease, callbacks, self, self.stopper, TERMS)

    def started(self) -> None:
        self.story.append(f"started at {self.timing.time:g}")

    def stopped(self) -> None:
        self.story.append(f"stopped at {self.timing.time:g}")

    def step(self) -> None:
        self.next = self.timing.time + max(0.01, self.elector.acquire_or_renew())

    def now(self) -> float:
        return 1_000_000 + self.timing.time + self.skew

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        self._reach()
        return self.cluster.get(kind, namespace, name)

    def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        self._reach()
        return self._answer(self.cluster.create(kind, namespace, body))

    def patch(self, kind: Kind, namespace: str, name: str, patch: JsonPatch) -> Object:
        self._reach()
        return self._answer(self.cluster.patch(kind, namespace, name, patch))

    def _reach(self) -> None:
        if self.down:
            raise TransientError("no route")

    def _answer(self, item: Object) -> Object:
        if self.lost:
            raise TransientError("no answer")
        return item


class Contest:
    """Replicas that take their steps in the order of time."""

    def __init__(self, *skews: float) -> None:
        self.cluster = FakeCluster()
        self.timing = ManualTiming()
        self.replicas = [
            Replica(f"replica-{number}", self.cluster, self.timing, skew)
            for number, skew in enumerate(skews)
        ]

    def run(self, seconds: float) -> None:
        """Lets time pass, and looks at each moment who may write."""
        end = self.timing.time + seconds
        while (first := min(self.replicas, key=lambda replica: replica.next)).next <= end:
            self.timing.time = max(self.timing.time, first.next)
            self.check()
            first.step()
            self.check()
        self.timing.time = end
        self.check()

    def check(self) -> None:
        assert len(self.holders) <= 1, f"two leaders at {self.timing.time}"

    @property
    def holders(self) -> list[str]:
        return [replica.name for replica in self.replicas if replica.elector.holds()]

    @property
    def lease(self) -> Object:
        found = self.cluster.get(LEASES, NS, "canary")
        assert found is not None
        return found


def test_first_comes() -> None:
    """The first that asks leads, and goes on leading; the others know who."""
    contest = Contest(0, 0)
    contest.run(60)
    one, two = contest.replicas
    assert one.story == ["started at 0"]
    assert two.story == []
    assert two.elector.leader == "replica-0"
    spec = contest.lease["spec"]
    assert (spec["leaseTransitions"], spec["leaseDurationSeconds"]) == (0, 12)


def test_killed_leader() -> None:
    """When the leader falls silent, a standby leads within 15 seconds, and not before its end."""
    contest = Contest(0, 0)
    contest.run(20)
    one, two = contest.replicas
    one.next = float("inf")
    contest.run(15)
    assert contest.holders == ["replica-1"]
    assert two.elector.leader == "replica-1"
    assert contest.lease["spec"]["leaseTransitions"] == 1


def test_partitioned_leader() -> None:
    """A leader that cannot renew stops before the standby starts, and stands by when it is back."""
    contest = Contest(0, 0)
    contest.run(20)
    one, two = contest.replicas
    one.down = True
    contest.run(15)
    assert contest.holders == ["replica-1"]
    (_, stopped), (started,) = one.story, two.story
    assert _at(stopped) < _at(started)
    one.down = False
    contest.run(30)
    assert contest.holders == ["replica-1"]


def test_short_outage() -> None:
    """An API server that is away for less than the renew deadline changes nothing."""
    contest = Contest(0, 0)
    contest.run(20)
    for replica in contest.replicas:
        replica.down = True
    contest.run(5)
    for replica in contest.replicas:
        replica.down = False
    contest.run(20)
    assert contest.replicas[0].story == ["started at 0"]


def test_lost_answers() -> None:
    """Renewals whose answers are lost do not count, so leading ends; nobody else is let in by it."""
    contest = Contest(0, 0)
    contest.run(20)
    contest.replicas[0].lost = True
    contest.run(40)
    assert contest.holders == []
    contest.replicas[0].lost = False
    contest.run(3)
    assert contest.holders == ["replica-0"]


def test_wrong_clocks() -> None:
    """A clock that is an hour wrong neither takes a lease nor loses one."""
    contest = Contest(-3600, 3600)
    contest.run(120)
    assert contest.replicas[0].story == ["started at 0"]


def test_release() -> None:
    """Who resigns first ends its work and then gives the lease back: the standby needs no wait."""
    contest = Contest(0, 0)
    contest.run(20)
    one, _ = contest.replicas
    one.stopper.stop()
    one.elector.resign()
    one.next = float("inf")
    assert one.story[-1] == "stopped at 20"
    assert not one.elector.holds()
    assert contest.lease["spec"]["holderIdentity"] == ""
    contest.run(TERMS.retry)
    assert contest.holders == ["replica-1"]


def test_may_write_while_stopping() -> None:
    """What runs when we are asked to stop may end its writes under the lease."""
    contest = Contest(0)
    contest.run(5)
    (one,) = contest.replicas
    left = []
    one.stopped = lambda: left.append(one.elector.remaining())
    one.elector._callbacks = LeaderCallbacks(one.started, one.stopped)
    one.stopper.stop()
    one.elector.run()
    assert left[0] > 0
    assert one.elector.remaining() == 0


def test_run() -> None:
    """`run` leads until stopped, and then resigns."""
    contest = Contest(0)
    (one,) = contest.replicas
    renew = one.cluster.patch

    def patch(*args: object) -> Object:
        if one.timing.time > 30:
            one.stopper.stop()
        return renew(*args)

    one.cluster.patch = patch
    one.elector.run()
    assert [story.split()[0] for story in one.story] == ["started", "stopped"]
    assert contest.lease["spec"]["holderIdentity"] == ""


def test_foreign_fields() -> None:
    """A lease made by somebody else keeps what we do not know."""
    contest = Contest(0)
    spec = {"holderIdentity": None, "strategy": "OldestEmulationVersion"}
    contest.cluster.put(LEASES, {"metadata": {"namespace": NS, "name": "canary"}, "spec": spec})
    contest.run(5)
    assert contest.holders == ["replica-0"]
    assert contest.lease["spec"]["strategy"] == "OldestEmulationVersion"


def test_deleted_lease() -> None:
    """A lease that somebody deletes is made again."""
    contest = Contest(0)
    contest.run(5)
    contest.cluster.delete(LEASES, NS, "canary", "Background")
    contest.run(5)
    assert contest.holders == ["replica-0"]


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(1_800_000_000.0, id="a whole second"),
        pytest.param(1_800_000_000.25, id="a quarter"),
        pytest.param(1_800_000_000.000001, id="a millionth"),
    ],
)
def test_micro_time(seconds: float) -> None:
    """Always six digits: the API server refuses others."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", format_micro_time(seconds))


def test_terms() -> None:
    """LeaseTerms under which two could lead are refused."""
    with pytest.raises(ValueError, match="renew_deadline < duration"):
        LeaseTerms(duration=10, renew_deadline=10)


FAULTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["down", "up", "lost", "killed", "delayed"]),
        st.floats(0.1, 20),
    ),
    max_size=25,
)


@given(FAULTS, st.tuples(*[st.floats(-1e6, 1e6)] * 3))
@settings(max_examples=100)
def test_law(faults: list[tuple[int, str, float]], skews: tuple[float, float, float]) -> None:
    """Whatever breaks, whoever's clock is wrong: never two may write; in the end one may."""
    contest = Contest(*skews)
    for number, fault, seconds in faults:
        replica = contest.replicas[number]
        match fault:
            case "down":
                replica.down = True
            case "lost":
                replica.lost = True
            case "up":
                replica.down = replica.lost = False
            case "killed":
                replica.next = float("inf")
            case "delayed":
                replica.next = contest.timing.time + seconds
        if all(other.next == float("inf") for other in contest.replicas):
            contest.replicas[0].next = contest.timing.time
        contest.run(seconds)
    for replica in contest.replicas:
        replica.down = replica.lost = False
    contest.run(15 + 20)
    assert len(contest.holders) == 1


def _at(story: str) -> float:
    return float(story.rsplit(maxsplit=1)[-1])


def test_absent_namespace() -> None:
    """A lease that cannot be made is tried again, and nobody leads."""
    contest = Contest(0)

    def refuse(verb: str, *_: object) -> None:
        if verb == "create":
            raise NotFoundError('namespaces "canary" not found')

    contest.cluster.before = refuse
    contest.run(30)
    assert contest.holders == []
    contest.cluster.before = None
    contest.run(3)
    assert contest.holders == ["replica-0"]
