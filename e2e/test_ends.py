"""How releases end when people intervene: run with CANARY_E2E_FULL=1."""

import json
from dataclasses import replace
from threading import Event

import pytest
import yaml

from canary.api import Reason, Result
from canary.kube.workloads.names import REJECTED
from e2e.fixtures_releases import place
from e2e.harness import installed
from e2e.harness.auth import NAME, AuthService
from e2e.harness.kubectl import apply, get, kubectl, now, wait_for
from e2e.harness.measurements import Measurements, write_measurements
from e2e.harness.release import KIND, ReleaseManifest
from e2e.harness.scenario import Scenario, start_scenario
from e2e.test_releases import ABRUPT, label, let_go, ready

__all__ = ["place"]
QUICK = ReleaseManifest(weights=(20, 50))


@pytest.mark.parametrize(
    ("abrupt", "after"),
    [
        pytest.param(False, 15, id="before-the-first-answer"),
        pytest.param(True, 45, id="abrupt"),
    ],
)
def test_c08_slow_requests_in_flight_at_an_abort_are_not_cut(
    place: str, after: int, *, abrupt: bool
):
    """Answers take 20 s: those that nobody has seen yet are the application's to finish.

    An application that exits at once on SIGTERM is waited for while its counters move.
    """
    slow = AuthService(abrupt=abrupt, grace=60)
    with start_scenario(
        place, ReleaseManifest(weights=(50,), hold="5m"), slow, rate=10, timeout=60
    ) as stage:
        stage.ship(slow.next("v2", "slow:20"))
        began = stage.weight_reaches(50)
        wait_for("requests in flight", lambda: now() - began > after, 90)
        stage.ask("abort")
        aborted = now()
        entry = stage.ends(Result.ROLLED_BACK, seconds=120)
        lasted = stage.film.statuses[-1].at - aborted
        stage.nothing_left()
    assert entry["reason"] == Reason.ABORTED
    assert stage.film.back_to_zero() - aborted < 5, "the weight does not wait for the drain"
    kind = "exits at once on SIGTERM" if abrupt else "finishes its requests"
    name, note = f"abort, answers take 20 s, {kind}", f"ended {lasted:.0f} s after the abort"
    dropped, sent = len(stage.load.failures), stage.load.sent
    write_measurements(
        Measurements(name, "RolledBack", Reason.ABORTED, dropped=dropped, sent=sent, note=note)
    )
    assert stage.load.failures == []


def test_a_release_deleted_while_the_target_rolls_drops_nothing(place: str):
    """The target goes back first, while the canary serves; then the route."""
    with start_scenario(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(100, 150)
        stage.film.wait("the target to roll", lambda: not stage.film.paused[-1].what, 60)
        wait_for("a pod of the new version", lambda: "v2" in labels(stage), 30)
        kubectl("-n", place, "delete", KIND, NAME, "--timeout=150s")
        stage.nothing_left()
        wait_for("the Deployment to be let go", lambda: let_go(place), 30)
        kubectl("-n", place, "rollout", "status", f"deployment/{NAME}", "--timeout=30s")
        assert labels(stage) == {"v1"}
    dropped, sent = len(stage.load.failures), stage.load.sent
    write_measurements(
        Measurements("deleted while the target rolls", "Deleted", "-", dropped=dropped, sent=sent)
    )
    assert stage.load.failures == []


def labels(stage: Scenario) -> set[str]:
    """The versions of the target's pods that are ready."""
    mine = [pod for pod in stage.pods() if not pod["metadata"]["name"].startswith(f"{NAME}-canary")]
    return {label(pod) for pod in mine if ready(pod)}


def test_c05_a_namespace_deleted_in_mid_release_goes(place: str):
    """Within 150 s, and the operator neither fails nor hurries."""
    with start_scenario(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        deleted = now()
        kubectl("delete", "namespace", place, "--wait=false")
        wait_for(
            "the namespace to go", lambda: get("default", "namespace", place) is None, 150, 1.0
        )
        seconds = now() - deleted
    since = f"--since={int(now() - deleted) + 5}s"
    logs = [kubectl("-n", installed.NAMESPACE, "logs", pod, since) for pod in installed.pods()]
    mine = [line for log in logs for line in log.splitlines() if place in line]
    assert not [line for line in mine if "Traceback" in line], mine
    assert len(mine) <= seconds + 20, "at most one line a second"
    write_measurements(
        Measurements(
            "namespace deleted at 20 %", "Deleted", "-", note=f"gone after {seconds:.0f} s"
        )
    )


def test_a_deployment_that_is_replaced_says_what_to_apply_and_is_adopted(place: str):
    """`kubectl replace --force` at rest: said in status and Event, adopted once it runs."""
    with start_scenario(place, QUICK, ABRUPT) as stage:
        body = yaml.safe_dump(ABRUPT.next("v2", ready=False).deployment(place))
        kubectl("replace", "--force", "-f", "-", stdin=body)
        stage.film.wait(
            "the loss", lambda: stage.film.status.get("reason") == Reason.STABLE_LOST, 60
        )
        assert "Apply the manifests" in stage.film.status["message"]
        wait_for("an Event", lambda: Reason.STABLE_LOST in events(place), 30)
        stage.ship(ABRUPT.next("v3"))
        stage.film.wait(
            "adoption",
            lambda: stage.film.status.get("reason") == Reason.ROLLED_OUT_WITHOUT_CANARY,
            90,
        )
        assert labels(stage) == {"v3"}


def test_a_deployment_replaced_in_mid_release_ends_the_release(place: str):
    """The canary serves until the new pods do; then it goes, and what runs is adopted."""
    with start_scenario(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        kubectl(
            "replace",
            "--force",
            "-f",
            "-",
            stdin=yaml.safe_dump(ABRUPT.next("v3").deployment(place)),
        )
        entry = stage.ends(Result.ROLLED_BACK, seconds=120)
        assert entry["reason"] == Reason.STABLE_LOST
        stage.nothing_left()
        stage.film.wait(
            "adoption",
            lambda: stage.film.status.get("reason") == Reason.ROLLED_OUT_WITHOUT_CANARY,
            90,
        )


def test_a_replica_set_deleted_in_mid_release_is_said_and_comes_back(place: str):
    """The paused Deployment makes no pods; its stable manifests, applied again, bring them back."""
    with start_scenario(place, QUICK, ABRUPT) as stage:
        (stable,) = kubectl("-n", place, "get", "replicasets", "-o", "name").split()
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        kubectl("-n", place, "delete", stable)
        stage.film.wait(
            "the loss", lambda: stage.film.status.get("reason") == Reason.STABLE_LOST, 60
        )
        assert "canary promote auth --skip-analysis" in stage.film.status["message"]
        assert stage.film.weight == 20, "the canary is all that serves"
        stage.ship(ABRUPT)
        stage.ends(Result.SUPERSEDED, seconds=120)
        stage.phase("Ready", 60)
        assert labels(stage) == {"v1"}
        stage.nothing_left()


def test_a_promotion_that_cannot_roll_stays_rolled_back_until_somebody_acts(place: str):
    """A quota leaves no room for one more pod: back to stable, and said until it is seen to."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full", "namespace": place},
        "spec": {"hard": {"pods": str(2 * ABRUPT.replicas)}},
    }
    with start_scenario(place, replace(QUICK, progress_deadline="20s"), ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(100, 150)
        apply(quota)
        entry = stage.ends(Result.ROLLED_BACK, seconds=120)
        assert entry["reason"] == Reason.ROLL_FAILED
        Event().wait(30)
        assert stage.film.status["phase"] == "RolledBack"
        assert stage.film.status["reason"] == Reason.ROLL_FAILED
        assert labels(stage) == {"v1"}
        stage.nothing_left()
    write_measurements(Measurements("promotion that cannot roll", "RolledBack", Reason.ROLL_FAILED,
                       dropped=len(stage.load.failures), sent=stage.load.sent))  # fmt: skip
    assert stage.load.failures == []


def events(place: str) -> set[str]:
    """Reasons of the namespace's Events."""
    path = "jsonpath={.items[*].reason}"
    return set(kubectl("-n", place, "get", "events.events.k8s.io", "-o", path).split())


def test_the_autoscaler_is_given_back_without_a_conflict(place: str):
    """Its manifest applied unforced afterwards, with another floor, is taken."""
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": NAME, "namespace": place},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "minReplicas": 2,
            "maxReplicas": 5,
        },
    }

    def applied(least: int) -> None:
        scaler["spec"]["minReplicas"] = least
        kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(scaler))

    with start_scenario(place, QUICK, ABRUPT) as stage:
        applied(2)
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        during = get(place, "hpa", NAME)
        assert during is not None
        assert during["spec"]["minReplicas"] == 3
        stage.ask("abort")
        stage.ends(Result.ROLLED_BACK)
        applied(1)


def test_a_rejected_version_is_not_adopted_by_a_release_that_is_created_again(place: str):
    """Not where it runs everywhere, and not where it has begun to roll: the Deployment remembers it."""
    v2 = ABRUPT.next("v2")

    def deploy_unguarded(version: AuthService) -> None:
        """The CanaryRelease goes, and somebody applies a version that nothing compares."""
        kubectl("-n", place, "delete", KIND, NAME, "--timeout=60s")
        wait_for("the Deployment to be let go", lambda: let_go(place), 30)
        stage.ship(version)

    def says(reason: Reason) -> bool:
        return stage.film.status.get("reason") == reason

    with start_scenario(place, QUICK, ABRUPT) as stage:
        stage.ship(v2)
        stage.weight_reaches(20)
        stage.ask("abort")
        stage.ends(Result.ROLLED_BACK)
        assert noted(place)["reason"] == Reason.ABORTED

        deploy_unguarded(v2)
        kubectl("-n", place, "rollout", "status", f"deployment/{NAME}", "--timeout=90s")
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=written(place, v2))
        assert noted(place)["reason"] == Reason.ABORTED, "an apply leaves the annotation alone"
        apply(stage.guard.manifest(place))
        stage.film.wait("the refusal", lambda: says(Reason.REJECTED), 60)
        assert stage.film.status.get("stableHash") is None
        assert "does not become stable" in stage.film.status["message"]
        wait_for("an Event", lambda: Reason.REJECTED in events(place), 30)

        stage.ship(ABRUPT.next("v3"))
        stage.film.wait("the adoption of v3", lambda: says(Reason.ADOPTED), 90)
        assert labels(stage) == {"v3"}
        deploy_unguarded(v2)
        wait_for("a pod of the rejected version", lambda: "v2" in labels(stage), 60)
        apply(stage.guard.manifest(place))
        wait_for("v3 to come back", lambda: labels(stage) == {"v3"}, 90)
        stage.ship(v2)
        stage.film.wait("the refusal", lambda: says(Reason.REJECTED), 60)
        assert labels(stage) == {"v3"}


def noted(place: str) -> dict[str, str]:
    """What the Deployment remembers as rejected."""
    found = get(place, "deployment", NAME)
    assert found is not None
    note: dict[str, str] = json.loads(found["metadata"]["annotations"][REJECTED])
    return note


def written(place: str, version: AuthService) -> str:
    """The manifest of this version, as text."""
    return str(yaml.safe_dump(version.deployment(place)))
