"""The operator as a whole, on a cluster in memory: from a CanaryRelease to its end."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from canary.core.series import MetricAnswer, SeriesQuery
from canary.errors import NotFoundError, TransientError
from canary.kube.objects import DEPLOYMENTS, EVENTS, LEASES, PODS, RELEASES, Kind
from canary.kube.workloads.pause_mode import BINDINGS, POLICIES
from tests.operator.simulated_cluster import (
    NAMESPACE,
    RunningOperator,
    SimulatedCluster,
    run_operator,
    start_cluster,
)


@dataclass
class Hanging:
    """A monitoring system that never answers."""

    town: SimulatedCluster
    asked: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        self.asked.set()
        self.go_on.wait(60)
        return self.town.read(queries, start, end, step)

    def final_until(self, now: float) -> float:
        return self.town.final_until(now)


WRITES = {"patch", "update", "create", "delete"}


def value(running: RunningOperator, name: str, **labels: str) -> float | None:
    """One sample of the operator's own metrics."""
    return running.telemetry.registry.get_sample_value(name, labels)


def conditions(town: SimulatedCluster, name: str) -> dict[str, tuple[str, str]]:
    """Of a release: status and reason by type."""
    found = town.status(name).get("conditions") or []
    return {one["type"]: (one["status"], one["reason"]) for one in found}


def test_good_version_is_promoted() -> None:
    """From adoption over all steps to promotion, with the route as the user wrote it at the end."""
    with start_cluster("auth") as town, run_operator(town) as running:
        town.until_phase("auth", "Ready")
        pods = [item["metadata"]["name"] for item in _pods(town)]
        town.ship("auth", "auth:2")
        town.until("weight 20", lambda: town.weight("auth") == 20)
        assert [item["metadata"]["name"] for item in _pods(town)] == pods
        town.until("promotion", lambda: town.status("auth")["reason"] == "Promoted")
        assert town.weight("auth") is None
        assert town.images("auth") == {"auth:2"}
        assert town.images("auth-canary") == set()
        labels = {"namespace": NAMESPACE, "release": "auth"}
        town.until(
            "counter", lambda: value(running, "canary_release_promotions_total", **labels) == 1
        )
        assert conditions(town, "auth")["Ready"][0] == "True"


def test_bad_version_is_rolled_back() -> None:
    """A version that fails every second request: weight 0, rejected, and counted by reason."""
    with start_cluster("auth") as town, run_operator(town) as running:
        town.until_phase("auth", "Ready")
        town.ship("auth", "auth:broken")
        town.until_phase("auth", "RolledBack")
        assert town.weight("auth") is None
        assert town.images("auth") == {"auth:1"}
        reason = town.status("auth")["history"][0]["reason"]
        labels = {"namespace": NAMESPACE, "release": "auth", "reason": reason}
        town.until(
            "counter", lambda: value(running, "canary_release_rollbacks_total", **labels) == 1
        )
        reasons = {event["reason"] for event in town.cluster.list(EVENTS, NAMESPACE, {})}
        assert {"Adopted", "Started", reason} <= reasons


def test_two_releases_at_the_same_time() -> None:
    """Each goes its own way, and both are judged by the same queries."""
    with start_cluster("auth", "shop") as town, run_operator(town):
        town.until_phase("auth", "Ready")
        town.until_phase("shop", "Ready")
        town.ship("auth", "auth:2")
        town.ship("shop", "auth:broken")
        town.until_phase("shop", "RolledBack")
        town.until("promotion", lambda: town.status("auth")["reason"] == "Promoted")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param("preset: http", "preset: htpp", "InvalidSpec", id="an unknown preset"),
        pytest.param("duration: 5s", "duration: soon", "InvalidSpec", id="a duration that is none"),
    ],
)
def test_invalid_release(old: str, new: str, reason: str) -> None:
    """What the API server let in is refused by us, said once, and the others go on."""
    with start_cluster("auth") as town, run_operator(town) as running:
        town.until_phase("auth", "Ready")
        town.deploy("shop", **{old: new})
        town.until("refusal", lambda: conditions(town, "shop").get("Ready") == ("False", reason))
        said = town.status("shop")["message"]
        assert new.partition(": ")[2] in said
        assert "\n" not in said
        town.until("Event", lambda: len(_events(town, "shop")) == 1)
        writes = len(running.wrote)
        _pass_over_all(town, running)
        assert len(running.wrote) == writes
        assert len(_events(town, "shop")) == 1
        town.ship("auth", "auth:2")
        town.until("weight", lambda: town.weight("auth") == 20)


def test_refused_and_put_right() -> None:
    """After a mistake was put right, a rejected version says again why it was rejected."""
    with start_cluster("auth") as town, run_operator(town):
        town.until_phase("auth", "Ready")
        town.ship("auth", "auth:broken")
        town.until_phase("auth", "RolledBack")
        before = town.status("auth")["reason"]
        path = "/spec/analysis/metrics/0/ratio/preset"
        for preset, reason in (("htpp", "InvalidSpec"), ("http", before)):
            change = {"op": "replace", "path": path, "value": preset}
            town.cluster.edit(RELEASES, NAMESPACE, "auth", [change])
            town.until(reason, lambda reason=reason: town.status("auth")["reason"] == reason)
        assert town.status("auth")["phase"] == "RolledBack"


def test_refused_by_the_server() -> None:
    """A right that is missing is said in the status; the other release goes on."""
    with start_cluster("auth", "shop") as town:

        def refuse(verb: str, kind: Kind, _namespace: str, name: str) -> None:
            if verb == "patch" and name == "shop" and kind.plural == "deployments":
                raise NotFoundError("cannot patch deployments shop: forbidden (grant it)")

        town.cluster.before = refuse
        with run_operator(town):
            town.until_phase("auth", "Ready")
            town.until(
                "refusal",
                lambda: conditions(town, "shop").get("Ready") == ("False", "ApiRefused"),
            )
            assert "grant it" in town.status("shop")["message"]


def test_idle_release_costs_nothing() -> None:
    """At rest nothing is written, and no metric is asked for, however often it is looked at."""
    with start_cluster("auth", "shop") as town, run_operator(town) as running:
        town.until_phase("auth", "Ready")
        town.until_phase("shop", "Ready")
        _pass_over_all(town, running)
        town.until("Events", lambda: len(_events(town, "shop")) == 1)
        writes, asked = len(running.wrote), len(town.asked)
        for _ in range(5):
            _pass_over_all(town, running)
        assert (len(running.wrote), len(town.asked)) == (writes, asked)


def passes(running: RunningOperator) -> float:
    """How often a release was reconciled."""
    return value(running, "canary_reconcile_duration_seconds_count", result="success") or 0


def let_time_pass(town: SimulatedCluster, seconds: float) -> None:
    """Time in which Kubernetes writes to pods and Deployments what no release reads."""
    began = town.clock.now()
    while (spent := town.clock.now() - began) < seconds:
        for kind, name in ((PODS, "podIP"), (DEPLOYMENTS, "terminatingReplicas")):
            for item in town.cluster.list(kind, NAMESPACE, {}):
                town.cluster.put(kind, {**item, "status": {**item["status"], name: spent}})
        town.until("the next second", lambda: town.clock.now() >= began + spent + 1)


def test_a_release_in_flight_is_reconciled_once_a_scrape() -> None:
    """A minute in a step: a pass and a round of queries every 5 s, and a write every 10 s."""
    with start_cluster() as town, run_operator(town) as running:
        town.names = ("auth",)
        last = "{weight: 50, duration: 5s"
        town.deploy("auth", **{last: f"{last}, approval: true"})
        town.until_phase("auth", "Ready")
        town.ship("auth", "auth:2")
        town.until("the step", lambda: town.status("auth")["reason"] == "ApprovalNeeded")
        before, writes, asked = passes(running), len(running.wrote), len(town.asked)
        began = town.clock.now()
        let_time_pass(town, 60)
        seconds = town.clock.now() - began
        assert 1 <= passes(running) - before <= seconds / 4.5 + 2
        assert len(town.asked) - asked <= seconds / 4.5 + 2
        wrote = [one for one in running.wrote[writes:] if one != "create events"]
        assert wrote == ["replace_status canaryreleases"] * len(wrote)
        assert len(wrote) <= seconds / 10 + 1


def test_a_release_that_waits_for_pods_is_reconciled_when_one_is_ready() -> None:
    """Until then nothing is read and nothing written; every ten seconds somebody looks."""
    with start_cluster("auth") as town, run_operator(town) as running:
        town.until_phase("auth", "Ready")
        town.pods_start = False
        town.ship("auth", "auth:2")
        town.until("the canary", lambda: len(town.images("auth-canary")) == 1)
        town.until("the wait", lambda: "0 of 2" in town.status("auth")["message"])
        before, writes = passes(running), len(running.wrote)
        began = town.clock.now()
        let_time_pass(town, 30)
        assert passes(running) - before <= (town.clock.now() - began) / 10 + 1
        assert running.wrote[writes:] == []
        for pod in town.cluster.list(PODS, NAMESPACE, {"deployment": "auth-canary"}):
            ready = {**pod["status"]["conditions"][0], "status": "True"}
            town.cluster.put(PODS, {**pod, "status": {"conditions": [ready]}})
        town.until("weight", lambda: town.weight("auth") == 20)


def test_silent_monitoring() -> None:
    """With nobody answering, weights stay, and the release goes on when the answers are back."""
    with start_cluster("auth") as town, run_operator(town):
        town.until_phase("auth", "Ready")
        town.ship("auth", "auth:2")
        town.until("weight", lambda: town.weight("auth") == 20)
        town.monitoring = False
        town.until(
            "word of it",
            lambda: conditions(town, "auth")["DataAvailable"] == ("False", "MonitoringUnavailable"),
        )
        assert town.weight("auth") == 20
        town.monitoring = True
        town.until("promotion", lambda: town.status("auth")["reason"] == "Promoted")


def test_hanging_monitoring_delays_no_rollback() -> None:
    """With every query hanging, an abort still takes the traffic away at once."""
    with start_cluster("auth") as town:
        hanging = Hanging(town)
        with run_operator(town, metrics=hanging):
            town.until_phase("auth", "Ready")
            town.ship("auth", "auth:2")
            town.until("weight", lambda: town.weight("auth") == 20)
            assert hanging.asked.wait(30)
            note = {"canary-controller.dev/request": '{"verb": "abort", "id": "1"}'}
            path = "/metadata/annotations"
            town.cluster.edit(
                RELEASES, NAMESPACE, "auth", [{"op": "add", "path": path, "value": note}]
            )
            town.until_phase("auth", "RolledBack")
            assert town.weight("auth") is None
            assert not hanging.go_on.is_set()
            hanging.go_on.set()


def test_only_the_leader_writes() -> None:
    """A standby has warm caches and writes nothing; it goes on at once when the leader ends."""
    with start_cluster("auth") as town, run_operator(town, "one") as one:
        town.until_phase("auth", "Ready")
        with run_operator(town, "two") as two:
            town.until("warm caches", lambda: not two.operator.ready())
            town.ship("auth", "auth:2")
            town.until("weight", lambda: town.weight("auth") == 20)
            assert (one.operator.leading, two.operator.leading) == (True, False)
            assert two.wrote == []
            one.end()
            written = len(one.wrote)
            town.until("promotion", lambda: town.status("auth")["reason"] == "Promoted")
            assert len(one.wrote) == written
            assert two.wrote


def test_shutdown_finishes_the_pass_at_hand() -> None:
    """A write that is under way is waited for; then the lease is free, and nothing more comes."""
    reached, go_on = threading.Event(), threading.Event()
    with start_cluster("auth") as town, run_operator(town, "one") as running:
        town.until_phase("auth", "Ready")

        def block(verb: str, kind: Kind, _namespace: str, _name: str) -> None:
            if kind == RELEASES and verb == "update" and running.operator.leading:
                reached.set()
                assert go_on.wait(30)

        town.cluster.before = block
        town.ship("auth", "auth:2")
        assert reached.wait(30)
        running.stop.set()
        running.thread.join(0.2)
        assert running.thread.is_alive()
        go_on.set()
        running.end()
        lease = town.cluster.get(LEASES, "prod", "canary")
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == ""
        assert town.status("auth")["intent"] == "Advance"
        written = len(running.wrote)
        town.ship("auth", "auth:broken")
        assert len(running.wrote) == written


def test_server_that_fails_now_and_then() -> None:
    """Every third write fails: releases are tried again, and end as they should."""
    with start_cluster("auth") as town:
        writes = iter(range(1_000_000))

        def fail(verb: str, _kind: Kind, _namespace: str, _name: str) -> None:
            ours = threading.current_thread().name.startswith("worker")
            if ours and verb in WRITES and next(writes) % 3 == 0:
                raise TransientError("cannot do it: the server is busy", retry_after=0.1)

        town.cluster.before = fail
        with run_operator(town):
            town.until_phase("auth", "Ready")
            town.ship("auth", "auth:2")
            town.until("promotion", lambda: town.status("auth")["reason"] == "Promoted")


def test_deleted_release() -> None:
    """Everything is put back, and the release is forgotten."""
    with start_cluster("auth") as town, run_operator(town) as running:
        town.until_phase("auth", "Ready")
        town.ship("auth", "auth:2")
        town.until("weight", lambda: town.weight("auth") == 20)
        town.cluster.delete(RELEASES, NAMESPACE, "auth", "Background")
        town.names = ()
        town.until("end", lambda: town.cluster.get(RELEASES, NAMESPACE, "auth") is None)
        assert town.weight("auth") is None
        assert town.images("auth") == {"auth:1"}
        labels = {"namespace": NAMESPACE, "release": "auth"}
        town.until("silence", lambda: value(running, "canary_release_weight", **labels) is None)


def held_on_change(town: SimulatedCluster) -> None:
    """The admission policy is there, so targets at rest are not paused."""
    for kind in (POLICIES, BINDINGS):
        town.cluster.put(kind, {"metadata": {"name": "canary-hold"}, "spec": {}})


def marks(town: SimulatedCluster) -> list[str]:
    """What is ours on the Deployment."""
    found = town.cluster.get(DEPLOYMENTS, NAMESPACE, "auth")
    assert found is not None
    notes = found["metadata"].get("annotations") or {}
    return [key for key in notes if key.startswith("canary-controller.dev/")]


@pytest.mark.parametrize("running", [True, False], ids=["an operator runs", "none runs"])
def test_a_release_at_rest_goes_at_once_and_the_operator_cleans_up(*, running: bool) -> None:
    """No finalizer under OnChange; a Deployment that nobody guards loses its marks later."""
    with start_cluster("auth") as town:
        held_on_change(town)
        with run_operator(town):
            town.until_phase("auth", "Ready")
            assert marks(town)
            if running:
                gone(town)
                town.until("nothing is left", lambda: not marks(town))
        if not running:
            gone(town)
            with run_operator(town):
                town.until("nothing is left", lambda: not marks(town))


def gone(town: SimulatedCluster) -> None:
    """Somebody deletes the release, and does not wait for anybody."""
    town.cluster.delete(RELEASES, NAMESPACE, "auth", "Background")
    town.names = ()
    assert town.cluster.get(RELEASES, NAMESPACE, "auth") is None


def test_a_release_has_its_finalizer_only_while_it_is_in_flight() -> None:
    """There before the canary is, gone after the end."""
    with start_cluster("auth") as town:
        held_on_change(town)
        with run_operator(town):

            def finalizers() -> list[str]:
                found = town.cluster.get(RELEASES, NAMESPACE, "auth")
                return list(found["metadata"].get("finalizers") or ()) if found else []

            town.until_phase("auth", "Ready")
            town.until("at rest, on change", lambda: not finalizers())
            image = "/spec/template/spec/containers/0/image"
            shipped = {"op": "replace", "path": image, "value": "auth:2"}
            by_policy = {"op": "add", "path": "/spec/paused", "value": True}
            town.cluster.edit(DEPLOYMENTS, NAMESPACE, "auth", [shipped, by_policy])
            town.until("weight", lambda: town.weight("auth") == 20)
            assert finalizers()
            town.until("promotion", lambda: town.status("auth")["reason"] == "Promoted")
            town.until("nothing to put back", lambda: not finalizers())


def test_no_definition() -> None:
    """Without the CRD the operator says what to install."""
    with start_cluster() as town:
        town.cluster.unserved.add(RELEASES)
        with (
            pytest.raises(AssertionError, match="install the definition"),
            run_operator(town) as running,
        ):
            running.thread.join(30)


def _pods(town: SimulatedCluster) -> list[dict[str, dict[str, str]]]:
    return town.cluster.list(PODS, NAMESPACE, {"deployment": "auth"})


def _events(town: SimulatedCluster, name: str) -> list[str]:
    found = town.cluster.list(EVENTS, NAMESPACE, {})
    return [event["reason"] for event in found if event["regarding"]["name"] == name]


def _pass_over_all(town: SimulatedCluster, running: RunningOperator) -> None:
    """Has every release passed over, and waits until that is done."""
    controller = running.operator._controller
    assert controller is not None
    before = value(running, "canary_reconcile_duration_seconds_count", result="success") or 0
    controller.wake_all()
    count = len(controller.list_keys())
    town.until(
        "passes",
        lambda: (
            (value(running, "canary_reconcile_duration_seconds_count", result="success") or 0)
            >= before + count
            and not controller.working
        ),
    )
