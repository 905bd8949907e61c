"""Bad days of the operator and of what it needs, and its quiet ones; nothing else beside them."""

import os
import subprocess
from collections.abc import Callable
from threading import Event

import pytest

from canary.api import Reason, Result
from e2e.fixtures_releases import place
from e2e.harness import installed
from e2e.harness.auth import NAME
from e2e.harness.kubectl import get, kubectl, now, wait_for
from e2e.harness.measurements import Measurements, read_measurements, write_measurements
from e2e.harness.release import KIND, ReleaseManifest
from e2e.harness.scenario import start_scenario
from e2e.test_releases import ABRUPT

__all__ = ["place"]
MOST_REQUESTS = 100
"""To the API server, for a whole release of three steps."""
SCRAPE_SECONDS = float(os.environ.get("LAB_SCRAPE", "5s").rstrip("s"))
QUERIES_PER_ROUND = 2
"""One for the router's requests, one for all six metrics of the pool."""
METRICS = 7
FIRST_ROUNDS = 4
"""Until there is something to judge: each metric is asked by itself then, with stable's past."""
FULL = pytest.mark.skipif(
    os.environ.get("CANARY_E2E_FULL") != "1", reason="only in the full run: CANARY_E2E_FULL=1"
)


@FULL
def test_a_release_at_rest_costs_nothing(place: str):
    """A minute under traffic without a release: no write but the lease's, no query."""
    with start_scenario(place, version=ABRUPT) as stage:
        Event().wait(10)  # the Event of the adoption
        before = installed.costs()
        Event().wait(60)
        after = installed.costs()
    spent = {what: after[what] - count for what, count in before.items()}
    note = f"{spent['writes']:g} writes, {spent['queries']:g} queries, {spent['cpu']:.2f} s of CPU"
    write_measurements(
        Measurements("idle for a minute", "Ready", "AtRest", sent=stage.load.sent, note=note)
    )
    assert (spent["writes"], spent["queries"]) == (0, 0)
    assert stage.load.failures == []


def test_a_release_in_flight_costs_few_requests_and_queries(place: str):
    """Three steps, alone in the cluster: requests to the API server and rounds of queries."""
    guard = ReleaseManifest()
    with start_scenario(place, guard, ABRUPT) as stage:
        idle, began = installed.costs(), now()
        Event().wait(20)
        before, started = installed.costs(), now()
        stage.ship(ABRUPT.next("v2"))
        entry = stage.ends(Result.PROMOTED, seconds=240)
        seconds = now() - started
        after = installed.costs()
    spent = {what: after[what] - count for what, count in before.items()}
    resting = (before["cpu"] - idle["cpu"]) / (started - began)
    share = spent["cpu"] / seconds - resting
    costs = {**spent, "seconds": seconds, "cpu": share, "load": os.getloadavg()[0]}
    figures = read_measurements(stage, "good, alone: what it costs", entry, costs=costs)
    assert (figures.dropped, figures.errors) == (0, 0), stage.load.failures
    assert spent["requests"] <= MOST_REQUESTS, spent
    scrapes = seconds / SCRAPE_SECONDS
    assert spent["queries"] <= scrapes * QUERIES_PER_ROUND + FIRST_ROUNDS * METRICS, spent


def test_the_operator_may_be_killed_at_any_point_of_a_release(place: str):
    """Killed while preparing, at each weight and while promoting: the same end, nothing dropped."""
    with start_scenario(place, ReleaseManifest(weights=(20, 50)), ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        points: list[Callable[[], object]] = [
            lambda: stage.phase("Preparing", 30),
            lambda: stage.weight_reaches(20),
            lambda: stage.weight_reaches(50),
            lambda: stage.weight_reaches(100),
            lambda: stage.phase("Promoting"),
        ]
        for reached in points:
            reached()
            installed.kill(*installed.pods())
            wait_for("a new leader", lambda: bool(installed.leader()), 60)
        entry = stage.ends(Result.PROMOTED, seconds=240)
        stage.nothing_left()
    figures = read_measurements(stage, "good, operator killed at five points", entry)
    assert (figures.dropped, figures.errors) == (0, 0), stage.load.failures


@FULL
def test_a_standby_takes_over_and_takes_the_traffic_away(place: str):
    """All requests fail, and the replica that acts dies at 20 %: the other one rolls back."""
    with start_scenario(place, ReleaseManifest(weights=(20, 50), interval="5s"), ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2", "errors:1"))
        killed = stage.weight_reaches(20)
        installed.kill_leader()
        stage.ends(Result.ROLLED_BACK)
    after = stage.film.back_to_zero() - killed
    name = "100 % errors, leader killed at 20 %"
    write_measurements(
        Measurements(
            name,
            "RolledBack",
            stage.film.failing_since()["reason"],
            round(after, 1),
            errors=len(stage.load.failures),
            sent=stage.load.sent,
            note="seconds after the kill",
        )
    )


@FULL
def test_an_operator_that_was_away_for_20_s_takes_the_traffic_away_at_once(place: str):
    """Nobody is there while all requests fail; the first passes afterwards write weight 0."""
    with start_scenario(place, ReleaseManifest(weights=(20, 50)), ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2", "errors:1"))
        killed = stage.weight_reaches(20)
        back = away(20)
        stage.ends(Result.ROLLED_BACK)
    after = stage.film.back_to_zero() - back
    name = "100 % errors, operator away for 20 s at 20 %"
    note = f"seconds after it was started again, {back - killed:.0f} s after it was killed"
    failed = len(stage.load.failures)
    reason = stage.film.failing_since()["reason"]
    write_measurements(Measurements(name, "RolledBack", reason, round(after, 1), failed, note=note))


def away(seconds: float) -> float:
    """No operator for so long; when it was started again (seconds since the epoch)."""
    installed.scale(0)
    installed.kill(*installed.pods())
    Event().wait(seconds)
    installed.scale(2)
    return now()


@FULL
def test_a_namespace_with_a_release_at_rest_goes_without_an_operator(place: str):
    """Where an admission policy holds on change there is no finalizer to wait for."""
    with start_scenario(place, version=ABRUPT):
        release = get(place, KIND, NAME)
        assert release is not None
        assert not release["metadata"].get("finalizers")
        installed.scale(0)
        installed.kill(*installed.pods())
        deleted = now()
        try:
            kubectl("delete", "namespace", place, "--wait=false")
            wait_for("the namespace to go", lambda: get("x", "namespace", place) is None, 90, 1.0)
            seconds = now() - deleted
        finally:
            installed.scale(2)
    note = f"gone after {seconds:.0f} s, no operator there"
    write_measurements(Measurements("namespace deleted at rest", "Deleted", "-", note=note))


@FULL
def test_c05_a_namespace_deleted_in_mid_release_goes_once_the_operator_is_back(place: str):
    """The operator is away for 60 s: what it has to put back keeps the namespace, no longer."""
    with start_scenario(place, ReleaseManifest(weights=(20, 50)), ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        installed.scale(0)
        deleted = now()
        try:
            kubectl("delete", "namespace", place, "--wait=false")
            Event().wait(60)
        finally:
            installed.scale(2)
        wait_for("the namespace to go", lambda: get("default", "namespace", place) is None, 90, 1.0)
        seconds = now() - deleted
    logs = [kubectl("-n", installed.NAMESPACE, "logs", pod) for pod in installed.pods()]
    mine = [line for log in logs for line in log.splitlines() if place in line]
    assert not [line for line in mine if "Traceback" in line], mine
    note = f"gone after {seconds:.0f} s"
    write_measurements(
        Measurements("namespace deleted at 20 %, operator away for 60 s", "Deleted", "-", note=note)
    )


@FULL
def test_without_monitoring_a_release_waits_and_then_goes_on(place: str):
    """Prometheus is away for 90 s: the weight stays; afterwards the good version is promoted."""
    stop, start = faults("MONITORING")
    guard = ReleaseManifest(weights=(20, 50), minimum="60s", patience="5m")
    with start_scenario(place, guard, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        stop()
        try:
            Event().wait(90)
            seen = stage.film.status
        finally:
            start()
        assert (stage.film.weight, seen["reason"]) == (20, Reason.MONITORING_UNAVAILABLE)
        entry = stage.ends(Result.PROMOTED, seconds=300)
    figures = read_measurements(stage, "good, Prometheus away for 90 s", entry)
    assert (figures.dropped, figures.errors) == (0, 0), stage.load.failures


@FULL
def test_without_an_api_server_the_weight_stays_and_the_release_goes_on_later(place: str):
    """It is away for 20 s at 20 %: the lease runs out, nothing moves, and nobody notices."""
    stop, start = faults("APISERVER")
    with start_scenario(place, ReleaseManifest(weights=(20, 50)), ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        stop()
        try:
            Event().wait(20)
        finally:
            start()
        entry = stage.ends(Result.PROMOTED, seconds=240)
    figures = read_measurements(stage, "good, API server away for 20 s", entry)
    assert (figures.dropped, figures.errors) == (0, 0), stage.load.failures


def faults(part: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """How a part of the cluster is stopped and started; as CANARY_E2E_PART_STOP and _START say."""
    names = {verb: f"CANARY_E2E_{part}_{verb}" for verb in ("STOP", "START")}
    words = {verb: os.environ.get(name) for verb, name in names.items()}
    if not all(words.values()):
        pytest.skip(f"{' and '.join(names.values())} do not say how to do that here")

    def run(verb: str) -> None:
        subprocess.run(["bash", "-c", str(words[verb])], check=True, timeout=60)  # noqa: S607

    return (lambda: run("STOP")), (lambda: run("START"))
