"""The main scenarios once more, routed by Envoy Gateway: `python -m e2e.harness --gateway envoy`.

Errors are counted at the pods, because Envoy Gateway's own counters do not tell the sides apart;
and at the gateway, where a filter on the user's backend makes them do so.
"""

import os

import pytest
import requests

from canary.api import Reason, Result
from e2e.fixtures_releases import place
from e2e.harness.auth import NAME, filtered
from e2e.harness.kubectl import kubectl, wait_for
from e2e.harness.measurements import read_measurements
from e2e.harness.release import ERRORS_BY_POD, KIND, POOL, ReleaseManifest
from e2e.harness.scenario import start_scenario
from e2e.test_releases import ABRUPT, label, let_go, ready, rolled_back

__all__ = ["place"]
pytestmark = pytest.mark.skipif(
    os.environ.get("CANARY_E2E_GATEWAY") != "envoy",
    reason="Envoy Gateway is not chosen: `python -m e2e.harness --gateway envoy` does that",
)
AT_THE_GATEWAY = ({"name": "errors", "ratio": {"preset": "envoy-gateway"}}, POOL)
BY_POD = ReleaseManifest(metrics=(ERRORS_BY_POD, POOL))
BY_CLUSTER = ReleaseManifest(metrics=AT_THE_GATEWAY, route=filtered)
ERRORS_REASONS = {Reason.CANARY_OUTAGE, Reason.WORSE_THAN_STABLE, Reason.ABOVE_LIMIT}
COUNTED = pytest.mark.parametrize(
    ("guard", "where"),
    [
        pytest.param(BY_POD, "counted at the pods", id="pods"),
        pytest.param(BY_CLUSTER, "counted at the gateway", id="gateway"),
    ],
)


@COUNTED
def test_envoy_promotes_a_good_version(place: str, guard: ReleaseManifest, where: str):
    """Every request is answered from before the release until after it."""
    with start_scenario(place, guard, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        entry = stage.ends(Result.PROMOTED, seconds=240)
        stage.nothing_left()
        assert {label(pod) for pod in stage.pods() if ready(pod)} == {"v2"}
    figures = read_measurements(stage, f"good, {where}", entry)
    assert (figures.dropped, figures.errors) == (0, 0), stage.load.failures


@COUNTED
def test_envoy_takes_the_traffic_from_a_version_that_fails(
    place: str, guard: ReleaseManifest, where: str
):
    """All of its requests fail."""
    rolled_back(place, "errors:1", ERRORS_REASONS, f"100 % errors, {where}", guard)


@pytest.mark.parametrize(
    ("flaw", "reasons", "name"),
    [
        pytest.param("crash:3", {Reason.CRASH_LOOPING}, "crash-looping", id="crashes"),
        pytest.param("leak", {Reason.CONNECTION_LEAK, Reason.POOL_SATURATED}, "leak", id="leaks"),
    ],
)
def test_envoy_rolls_a_bad_version_back(place: str, flaw: str, reasons: set[Reason], name: str):
    """For the right reason, and nobody but its own few users notices."""
    rolled_back(place, flaw, reasons, name, BY_POD)


def test_envoy_takes_the_traffic_from_a_version_that_fails_now_and_then(place: str):
    """One of 20 requests fails, beside a stable that has served without fault for a minute."""
    rolled_back(place, "errors:0.05", ERRORS_REASONS, "5 % errors", BY_POD, history=60)


def test_envoy_keeps_everything_when_a_release_is_deleted(place: str):
    """The route is restored, the vetted version stays, nothing is lost."""
    with start_scenario(place, BY_POD, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        kubectl("-n", place, "delete", KIND, NAME, "--timeout=60s")
        stage.nothing_left()
        wait_for("the Deployment to be let go", lambda: let_go(place), 30)
        assert {label(pod) for pod in stage.pods() if ready(pod)} == {"v1"}
    assert stage.load.failures == []


def test_envoy_with_one_cluster_for_both_sides_is_no_evidence(place: str):
    """Its counters cannot tell the sides apart: the release waits and says what to do about it."""
    with start_scenario(
        place, ReleaseManifest(metrics=AT_THE_GATEWAY, patience="20s"), ABRUPT
    ) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(5)
        paused = stage.phase("Paused", 120)
        assert clusters(place) == {f"httproute/{place}/{NAME}/rule/0"}
        assert stage.film.weight == 5
        stage.ask("abort")
        stage.ends(Result.ROLLED_BACK)
    assert paused["reason"] == Reason.NO_DATA
    messages = [one.get("message") or "" for one in paused["analysis"]]
    assert any("unless a backendRef carries a filter" in said for said in messages), paused


def clusters(namespace: str) -> set[str]:
    """Envoy's clusters for the routes of a namespace, as its metrics name them."""
    name = f'envoy_cluster_name=~"httproute/{namespace}/.*"'
    query = f"count by (envoy_cluster_name) (envoy_cluster_upstream_rq_xx{{{name}}})"
    address = os.environ["PROMETHEUS_URL"]
    found = requests.get(f"{address}/api/v1/query", params={"query": query}, timeout=10).json()
    return {one["metric"]["envoy_cluster_name"] for one in found["data"]["result"]}
