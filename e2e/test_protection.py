"""What takes the traffic away without a metric: readiness, and the gateway's own words."""

from dataclasses import replace
from threading import Event

from canary.api import Reason, Result
from canary.demo.load.tally import NOBODY
from canary.kube.objects import Object
from e2e.fixtures_releases import place
from e2e.harness.auth import PORT, AuthService, route, service
from e2e.harness.kubectl import apply, now
from e2e.harness.load import RATE
from e2e.harness.measurements import Measurements, read_measurements, write_measurements
from e2e.harness.recorder import CANARY
from e2e.harness.release import ReleaseManifest
from e2e.harness.scenario import start_scenario
from e2e.test_disruptions import FULL
from e2e.test_releases import ABRUPT
from e2e.test_setup import canary

__all__ = ["place"]
LONGEST = 3.0
"""Seconds for which the canary may have weight without a ready endpoint."""
MOST_FAILED = 25
"""Requests that may fail meanwhile, at 5 % of 50 requests/s."""


def test_a_canary_that_is_not_ready_loses_its_traffic(place: str):
    """All pods unready at 5 %, then ready again: the step goes on. Unready for good: rolled back."""
    with start_scenario(place, ReleaseManifest(weights=(5, 20), incident="20s"), ABRUPT) as stage:
        film = stage.film
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(5)
        Event().wait(8)
        stage.fail_health_checks()
        film.wait("weight 0", lambda: film.weight == 0, 20)
        film.wait("the reason", lambda: film.status["reason"] == Reason.CANARY_NOT_READY, 5)
        Event().wait(3)
        failed = [one for one in stage.load.failures if one.version == NOBODY]
        stage.fail_health_checks(fail=False)
        stage.weight_reaches(20, 120)
        stage.fail_health_checks()
        entry = stage.ends(Result.ROLLED_BACK, seconds=60)
        stage.nothing_left()
    longest = max(film.seconds_with_weight_and_no_pod(), default=0.0)
    note = f"twice; weight 0 {longest:.1f} s after the endpoints were empty, at the latest"
    write_measurements(
        Measurements(
            "all pods unready at 5 %",
            entry["result"],
            entry["reason"],
            dropped=len(failed),
            sent=stage.load.sent,
            note=note,
        )
    )
    assert entry["reason"] == Reason.CANARY_OUTAGE
    assert "errorsServed" not in entry, "nobody counts what the gateway answers for the canary"
    assert longest <= LONGEST
    assert len(failed) <= MOST_FAILED


def test_canary_pods_that_are_evicted_at_100_percent_are_no_outage(place: str):
    """Both at once, and their successors start slowly: stable has the traffic until they serve."""
    stable = AuthService(replicas=2, abrupt=True)
    with start_scenario(place, ReleaseManifest(weights=(20, 50)), stable) as stage:
        film = stage.film
        stage.ship(replace(stable.next("v2"), slow_start=10))
        stage.weight_reaches(100, 180)
        evicted = now()
        stage.evict_canary()
        film.wait("weight 0", lambda: film.weight == 0, 20)
        again = stage.weight_reaches(100, 90)
        entry = stage.ends(Result.PROMOTED)
        stage.nothing_left()
    rolling = next(one.at for one in film.paused if one.at > evicted and not one.what)
    # None where the weight is 0 before the second pod has gone.
    longest = max(film.seconds_with_weight_and_no_pod(), default=0.0)
    failed = stage.load.failures
    note = f"weight 0 after {longest:.1f} s, 100 % again after {again - evicted:.0f} s"
    write_measurements(
        Measurements(
            "both canary pods evicted at 100 %",
            entry["result"],
            entry["reason"],
            dropped=len(failed),
            sent=stage.load.sent,
            note=note,
        )
    )
    assert len(film.ready_at(CANARY, rolling)) == stable.replicas
    assert longest <= LONGEST
    assert all(one.at <= evicted + LONGEST + 2 for one in failed)


def moved(place: str) -> tuple[Object, Object]:
    """The Service with its port at another number, and the route that sends to it there."""
    team, way = service(place), route(place)
    team["spec"]["ports"][0]["port"] = PORT + 1
    way["spec"]["rules"][0]["backendRefs"][0]["port"] = PORT + 1
    return team, way


@FULL
def test_a_service_whose_port_moves_with_its_route_is_followed(place: str):
    """At 20 %: the canary's own Service gets the same port, and the release goes on."""
    with start_scenario(place, ReleaseManifest(weights=(20, 50)), ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        applied = now()
        apply(*moved(place))
        entry = stage.ends(Result.PROMOTED, seconds=240)
    lost = [one.at - applied for one in stage.load.failures]
    note = f"the last one {max(lost, default=0):.1f} s after the change"
    figures = read_measurements(stage, "Service port and route moved at 20 %", entry, note)
    assert max(lost, default=0) <= LONGEST
    assert figures.dropped <= LONGEST * RATE


@FULL
def test_a_route_that_the_gateway_refuses_loses_its_weight(place: str):
    """The Service's port moves at 20 % and the route does not: weight 0, until it is put back."""
    with start_scenario(place, ReleaseManifest(weights=(20, 50)), ABRUPT) as stage:
        film = stage.film
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        began = now()
        apply(moved(place)[0])
        at_zero = film.wait("weight 0", lambda: film.weight == 0, 20)
        film.wait("the reason", lambda: film.status["reason"] == Reason.ROUTE_NOT_ACCEPTED, 5)
        Event().wait(5)
        raised = [one for one in film.weights if one.at > at_zero]
        apply(service(place))
        back = now()
        entry = stage.ends(Result.PROMOTED, seconds=240)
    lost = [one for one in stage.load.failures if not began <= one.at <= back + LONGEST]
    figures = Measurements(
        "Service port moved without its route at 20 %",
        entry["result"],
        entry["reason"],
        dropped=len(lost),
        sent=stage.load.sent,
        note=f"weight 0 after {at_zero - began:.1f} s; dropped before and after that change",
    )
    write_measurements(figures)
    assert at_zero - began <= LONGEST
    assert raised == [], "no weight before the gateway accepts the route again"
    assert lost == []


@FULL
def test_a_service_without_a_ready_stable_pod_is_an_obstacle(place: str):
    """A port renamed in Service and Deployment at once: said before anything begins."""
    with start_scenario(place, ReleaseManifest(weights=(20, 50)), ABRUPT, rate=0) as stage:
        film = stage.film
        renamed = service(place)
        renamed["spec"]["ports"][0]["targetPort"] = "web"
        apply(renamed)
        stage.ship(replace(ABRUPT.next("v2"), port_name="web"))
        reason = Reason.SERVICE_SELECTS_NO_POD
        film.wait("the obstacle", lambda: film.status["reason"] == reason, 30)
        message = film.status["message"]
        assert f"Port {PORT} of Service auth sends to the port named web" in message
        way_out = "canary promote auth --skip-analysis"
        film.wait("the way out", lambda: way_out in film.status["message"], 30)
        done = canary(
            *(
                "promote",
                "auth",
                "-n",
                place,
                "--skip-analysis",
                "--reason",
                "port renamed",
                "--yes",
            )
        )
        assert done.returncode == 0, done.stderr
        entry = stage.ends(Result.PROMOTED)
    assert entry["message"].endswith("skipped the analysis: port renamed")
