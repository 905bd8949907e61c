"""The main scenarios, on a real cluster under 50 requests/s: what CI runs each time."""

import pytest

from canary.api import Reason, Result
from canary.kube.workloads.names import REJECTED
from e2e.fixtures_releases import place
from e2e.harness.auth import NAME, AuthService
from e2e.harness.kubectl import get, kubectl, wait_for
from e2e.harness.measurements import read_measurements
from e2e.harness.release import KIND, ReleaseManifest
from e2e.harness.scenario import Scenario, start_scenario

__all__ = ["place"]
ABRUPT = AuthService(abrupt=True)
"""Exits at once on SIGTERM: whatever is taken away too early shows as a failed request."""


def test_a_good_version_is_promoted_and_no_request_is_dropped(place: str):
    """Every request is answered from before the release until after it."""
    with start_scenario(place, version=ABRUPT) as stage:
        before = {pod["metadata"]["name"] for pod in stage.pods()}
        stage.ship(ABRUPT.next("v2"))
        entry = stage.ends(Result.PROMOTED, seconds=240)
        stage.nothing_left()
        after = {pod["metadata"]["name"]: pod for pod in stage.pods() if ready(pod)}
        assert not before & after.keys()
        assert len(after) == ABRUPT.replicas
    figures = read_measurements(stage, "good", entry, "application exits at once on SIGTERM")
    assert (figures.dropped, figures.errors) == (0, 0), stage.load.failures


@pytest.mark.parametrize(
    ("flaw", "reasons", "name"),
    [
        pytest.param(
            "errors:1",
            {Reason.CANARY_OUTAGE, Reason.WORSE_THAN_STABLE, Reason.ABOVE_LIMIT},
            "100 % errors",
            id="all-requests-fail",
        ),
        pytest.param("crash:3", {Reason.CRASH_LOOPING}, "crash-looping", id="crashes"),
        pytest.param("leak", {Reason.CONNECTION_LEAK, Reason.POOL_SATURATED}, "leak", id="leaks"),
    ],
)
def test_a_bad_version_is_rolled_back(place: str, flaw: str, reasons: set[Reason], name: str):
    """For the right reason, and nobody but its own few users notices."""
    rolled_back(place, flaw, reasons, name)


def rolled_back(  # noqa: PLR0913, PLR0917 - what a scenario consists of
    place: str,
    flaw: str,
    reasons: set[Reason],
    name: str,
    guard: ReleaseManifest | None = None,
    history: float = 0.0,
) -> Scenario:
    """A version with this flaw is shipped and must be rolled back for one of these reasons."""
    stable = AuthService(abrupt=True, leak_every=10 if flaw == "leak" else 100)
    with start_scenario(place, guard, stable, history=history) as stage:
        stage.ship(stable.next("v2", flaw))
        entry = stage.ends(Result.ROLLED_BACK, seconds=400)
        stage.nothing_left()
    figures = read_measurements(stage, name, entry)
    assert Reason(entry["reason"]) in reasons, entry
    assert figures.dropped == 0, stage.load.failures
    return stage


def test_a_release_that_is_deleted_on_its_way_leaves_everything_as_it_was(place: str):
    """The route is restored, the vetted version stays, no pod of it restarts, nothing is lost."""
    with start_scenario(place, version=ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        kubectl("-n", place, "delete", KIND, NAME, "--timeout=60s")
        stage.nothing_left()
        wait_for("the Deployment to be let go", lambda: let_go(place), 30)
        kubectl("-n", place, "rollout", "status", f"deployment/{NAME}", "--timeout=30s")
        pods = [pod for pod in stage.pods() if ready(pod)]
        assert {label(pod) for pod in pods} == {"v1"}
    assert stage.load.failures == []


def let_go(place: str) -> bool:
    """Un-paused, and nothing of ours on it but what was rejected."""
    found = get(place, "deployment", NAME)
    assert found is not None
    ours = {key for key in found["metadata"].get("annotations", {}) if key.startswith("canary-")}
    return not found["spec"].get("paused") and not ours - {REJECTED}


def label(pod: dict) -> str:
    """The version that a pod runs."""
    words = pod["spec"]["containers"][0]["args"]
    return str(words[words.index("--label") + 1])


def ready(pod: dict) -> bool:
    """A pod that serves and is not ending."""
    conditions = pod["status"].get("conditions") or []
    serves = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return serves and "deletionTimestamp" not in pod["metadata"]
