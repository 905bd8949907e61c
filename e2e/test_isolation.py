"""No Service but ours selects a canary pod: seen by an observer of all EndpointSlices."""

from dataclasses import replace

import yaml

from canary.api import Reason, Result
from canary.kube.objects import Object
from e2e.fixtures_releases import place
from e2e.harness.auth import NAME, PORT
from e2e.harness.kubectl import apply, now
from e2e.harness.measurements import read_measurements
from e2e.harness.recorder import CANARY, Endpoints
from e2e.harness.release import ReleaseManifest
from e2e.harness.scenario import start_scenario
from e2e.test_releases import ABRUPT
from e2e.test_setup import canary

__all__ = ["place"]
QUICK = ReleaseManifest(weights=(20, 50))
SECONDS = 10.0
"""For which a Service that appears in mid-release may select canary pods."""
LABELED = replace(ABRUPT, labels={"tier": "backend"})


def backend(namespace: str) -> Object:
    """Another team's Service for the same pods, by another label."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "backend", "namespace": namespace},
        "spec": {"selector": {"tier": "backend"}, "ports": [{"port": PORT, "targetPort": "http"}]},
    }


def test_c03_a_second_service_never_selects_a_canary_pod(place: str):
    """It selects by a label that the user's own Service does not use; `staged` asserts the rest."""
    with start_scenario(place, QUICK, LABELED) as stage:
        apply(backend(place))
        drafted = " ".join(
            canary("init", NAME, "--service", NAME, "-n", place).stdout.replace("#", " ").split()
        )
        assert "app: auth-canary" in drafted
        assert "tier: backend-canary" in drafted
        stage.ship(LABELED.next("v2"))
        entry = stage.ends(Result.PROMOTED, seconds=240)
        stage.nothing_left()
    figures = read_measurements(stage, "a second Service by another label", entry)
    assert figures.dropped == 0, stage.load.failures


def test_a_service_that_appears_selects_canary_pods_for_seconds_only(place: str):
    """The release goes through weight 0, and begins again with other labels."""
    with start_scenario(place, QUICK, LABELED) as stage:
        stage.ship(LABELED.next("v2"))
        stage.weight_reaches(20)
        appeared = now()
        apply(backend(place))
        entry = stage.ends(Result.PROMOTED, seconds=300, past=1)
        first = stage.film.status["history"][1]
        # Taken off the film, because `staged` asserts that no Service ever selected a canary pod.
        last = max(one.at for one in stage.film.endpoints.pop("backend") if strays(one.what))
    note = f"the last canary pod was selected {last - appeared:.1f} s later"
    figures = read_measurements(stage, "a Service appears at 20 %", entry, note)
    assert (first["reason"], "Service backend" in first["message"]) == (Reason.NOT_ISOLATED, True)
    assert last - appeared <= SECONDS
    assert figures.dropped == 0, stage.load.failures


def strays(found: Endpoints) -> set[str]:
    """The canary pods among them that get requests."""
    return {pod for pod in found.ready if pod.startswith(f"{CANARY}-")}


def test_m16_what_cannot_be_isolated_is_an_obstacle_for_everybody(place: str):
    """A Service selects by a label that must stay: operator, lint and doctor name it."""
    switched = replace(ABRUPT, labels={"sidecar.istio.io/inject": "false"})
    other = backend(place)
    other["spec"]["selector"] = dict(switched.labels)
    with start_scenario(place, QUICK, switched, rate=0) as stage:
        film = stage.film
        apply(other)
        stage.ship(switched.next("v2"))
        film.wait("the obstacle", lambda: film.status["reason"] == Reason.NOT_ISOLATED, 30)
        message = film.status["message"]
        drafting = ("init", NAME, "--service", NAME)
        said = [canary(*words, "-n", place) for words in (drafting, ("doctor",))]
        text = yaml.safe_dump(stage.guard.manifest(place))
        said.append(canary("lint", "-", "--cluster", stdin=text))
    assert "Service backend would select canary pods by sidecar.istio.io/inject: false" in message
    for done in said:
        text = " ".join((done.stdout + done.stderr).replace("#", " ").split())
        assert "Service backend would select canary pods" in text, text
