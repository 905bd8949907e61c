"""Several routes to one Service, several releases on one route: run with CANARY_E2E_FULL=1."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from canary.api import Result
from canary.demo.load.tally import NOBODY
from canary.kube.objects import Object
from e2e.fixtures_releases import place
from e2e.harness.auth import NAME, PORT, AuthService, host, namespace, route, service
from e2e.harness.kubectl import KubectlError, apply, get, kubectl, wait_for
from e2e.harness.load import run_load
from e2e.harness.measurements import read_measurements
from e2e.harness.recorder import canary_weight
from e2e.harness.release import KIND, ReleaseManifest
from e2e.harness.scenario import start_scenario
from e2e.test_releases import ABRUPT

__all__ = ["place"]
SECOND = "internal"
CART = "cart"


def second(place: str) -> Object:
    """Another way to the same Service, by another host name."""
    made = route(place)
    made["metadata"]["name"] = SECOND
    made["spec"]["hostnames"] = [f"internal-{host(place)}"]
    return made


class BothRoutes(ReleaseManifest):
    """A release that weights both routes."""

    def manifest(self, namespace: str) -> Object:
        """As it is applied."""
        made = super().manifest(namespace)
        traffic = made["spec"]["traffic"]
        del traffic["gatewayAPI"]
        traffic["routes"] = [{"gatewayAPI": {"name": NAME}}, {"gatewayAPI": {"name": SECOND}}]
        return made


def test_two_routes_get_the_same_weights_and_come_back(place: str):
    """Requests by either of them: none is dropped, and each gets each weight."""
    apply(namespace(place), second(place))
    with start_scenario(place, BothRoutes(weights=(20, 50)), ABRUPT) as stage:
        before = spec_of(place, SECOND)
        with run_load(f"internal-{host(place)}", 25.0) as inside:
            stage.ship(ABRUPT.next("v2"))
            for weight in (20, 50, 100):
                stage.weight_reaches(weight, 150)
                wait_for(f"{weight} % on the second route", lambda w=weight: both(place) >= w, 20)
            entry = stage.ends(Result.PROMOTED, seconds=240)
            stage.nothing_left()
        assert spec_of(place, SECOND) == before
    figures = read_measurements(stage, "two routes", entry, f"{inside.sent} requests by the second")
    assert (figures.dropped, inside.failures) == (0, []), stage.load.failures


def both(place: str) -> int:
    """The weight on the second route."""
    found = get(place, "httproute", SECOND)
    assert found is not None
    return canary_weight(found)


def spec_of(place: str, name: str) -> Object:
    """Of a route."""
    found = get(place, "httproute", name)
    assert found is not None
    spec: Object = found["spec"]
    return spec


def test_a_bad_version_loses_both_routes(place: str):
    """Down on all of them at once, whatever it was that failed."""
    apply(namespace(place), second(place))
    with start_scenario(place, BothRoutes(weights=(20, 50)), ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2", "errors:1"))
        entry = stage.ends(Result.ROLLED_BACK)
        assert both(place) == 0
        stage.nothing_left()
    figures = read_measurements(stage, "two routes, 100 % errors", entry)
    assert figures.dropped == 0, stage.load.failures


def shop(place: str) -> Object:
    """One route to two Services, without weights, as c04 has it."""
    made = route(place)
    made["metadata"]["name"] = "shop"
    made["spec"]["rules"] = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/login"}}],
            "backendRefs": [{"name": NAME, "port": PORT}],
        },
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "backendRefs": [{"name": CART, "port": PORT}],
        },
    ]
    return made


def renamed(made: Object) -> Object:
    """The same manifest for the second service."""
    found = deepcopy(made)
    found["metadata"]["name"] = CART
    spec = found["spec"]
    if found["kind"] == "Deployment":
        for labels in (spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]):
            labels["app"] = CART
    elif found["kind"] == "Service":
        spec["selector"]["app"] = CART
    else:
        spec["target"]["name"] = CART
    return found


def on_shop(made: Object) -> Object:
    """A release that weights the shared route."""
    made["spec"]["traffic"]["gatewayAPI"]["name"] = "shop"
    return made


def test_c04_two_releases_on_one_route_give_it_back(place: str):
    """One is rolled back, the other promoted; an unforced apply meets no conflict but in flight."""
    good, bad = AuthService(abrupt=True, replicas=2, cpu="50m"), "errors:1"
    guard = ReleaseManifest(weights=(20, 50))
    apply(namespace(place))
    try:
        mine = (good.deployment(place), service(place))
        apply(*mine, *map(renamed, mine))
        apply(shop(place), options=("--server-side",))
        for name in (NAME, CART):
            kubectl("-n", place, "rollout", "status", f"deployment/{name}", "--timeout=120s")
        manifest = on_shop(guard.manifest(place))
        apply(manifest, renamed(manifest))
        for name in (NAME, CART):
            reaches(place, name, lambda status: status.get("phase") == "Ready", 60)
        saved = shared(place)
        with run_load(host(place), 60.0) as load:
            apply(good.next("v2").deployment(place))
            apply(renamed(good.next("v2", bad).deployment(place)))
            ended(place, CART, Result.ROLLED_BACK)
            with_one_in_flight(place)
            ended(place, NAME, Result.PROMOTED)
        wait_for("the route as it was", lambda: shared(place) == saved, 30)
        apply(shop(place), options=("--server-side",))
        # A version's own answers, such as 503 without a database connection, are not the route's.
        assert [one for one in load.failures if one.version == NOBODY] == []
    finally:
        kubectl("-n", place, "delete", KIND, "--all", "--timeout=90s")
        kubectl("delete", "namespace", place, "--ignore-not-found", "--wait=false")


def with_one_in_flight(place: str) -> None:
    """The claim on the weights stays while the other release needs it."""
    if status_of(place, NAME).get("intent") != "Advance":
        return
    with pytest.raises(KubectlError, match="canary-controller"):
        apply(shop(place), options=("--server-side",))


def shared(place: str) -> str:
    """The route's spec, annotations and managers, as text."""
    text = kubectl("-n", place, "get", "httproute", "shop", "--show-managed-fields", "-o", "json")
    found = json.loads(text)
    managers = sorted(
        one["manager"] for one in found["metadata"]["managedFields"] if not one.get("subresource")
    )
    notes = sorted(found["metadata"].get("annotations") or {})
    return json.dumps([found["spec"], notes, managers])


def status_of(place: str, name: str) -> dict[str, Any]:
    """Of a release."""
    found = get(place, KIND, name)
    return dict((found or {}).get("status") or {})


def reaches(
    place: str, name: str, holds: Callable[[dict[str, Any]], bool], seconds: float
) -> dict[str, Any]:
    """The status that holds."""
    wait_for(f"release {name}", lambda: holds(status_of(place, name)), seconds, every=1.0)
    return status_of(place, name)


def ended(place: str, name: str, result: Result) -> None:
    """The release has come to this end."""
    status = reaches(
        place, name, lambda one: bool(one.get("history")) and not one.get("release"), 300
    )
    assert status["history"][0]["result"] == result, status["history"][0]
