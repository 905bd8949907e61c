"""Routers on a real API server and a real gateway: exact shares, nothing dropped, nothing left."""

import json
from typing import Any

import pytest
import yaml

from canary.core.plan import RestoreRoute, SetWeight
from canary.errors import ConflictError
from canary.kube.client import Client
from canary.kube.objects import TRAEFIK_SERVICES
from canary.routers.split import SAVED_WEIGHTS
from e2e.fixtures_routers import (
    CRD_HOST,
    NAMESPACE,
    RouterFixture,
    applied,
    asked,
    asking,
    client,
    kubectl,
    manifest,
    must,
    router_for,
    stage,
    until,
)
from tests.routers.golden_routes import build_resource

__all__ = ["client", "stage"]


def near(found: int, expected: int) -> bool:
    """The share, but for turns cut short: any route that changes in the cluster begins them anew."""
    return abs(found - expected) <= max(2, 0.08 * expected)


@pytest.mark.parametrize("weight", [25, 1])
def test_the_share_is_exact(stage: RouterFixture, weight: int) -> None:
    """Of 400 requests the canary gets its percentage, but for where a turn begins."""
    stage.shift(weight)
    assert stage.seen.weight == weight
    answers = asked(400)
    assert near(answers.by["auth-canary"], 4 * weight), answers.by
    assert answers.failed == 0, answers.by


def test_zero_sends_nothing(stage: RouterFixture) -> None:
    """Weight 0 keeps our backend in the route, without a single request."""
    stage.set_weight(25)
    stage.shift(0)
    refs = stage.route["spec"]["rules"][0]["backendRefs"]
    assert [(ref["name"], ref["weight"]) for ref in refs] == [("auth", 100), ("auth-canary", 0)]
    assert asked(400).by == {"auth": 400}


def test_zero_with_a_canary_that_has_no_pods(stage: RouterFixture) -> None:
    """Scaled down at weight 0, the canary's empty Service costs no request."""
    stage.shift(25)
    scale = ("-n", NAMESPACE, "scale", "deployment", "auth-canary")
    with asking() as answers:
        stage.shift(0)
        must(kubectl(*scale, "--replicas=0"))
        pods = ("-n", NAMESPACE, "get", "pods", "-l", "app=auth-canary", "-o", "name")
        until(lambda: not must(kubectl(*pods)))
        stage.settled()
    must(kubectl(*scale, "--replicas=1"))
    rolled = ("-n", NAMESPACE, "rollout", "status", "deployment", "auth-canary", "--timeout=60s")
    must(kubectl(*rolled))
    assert answers.failed == 0, answers.by
    assert asked(100).by == {"auth": 100}


def test_changing_weights_drops_nothing(stage: RouterFixture) -> None:
    """Up, down and back to what the user wrote, under load; the route itself is there before."""
    stage.settled()
    with asking() as answers:
        for weight in (5, 50, 100, 0):
            stage.shift(weight)
        stage.restore()
        stage.settled()
    assert answers.failed == 0, answers.by
    assert answers.by["auth-canary"] > 0


def test_at_rest_nothing_of_ours_is_left(stage: RouterFixture) -> None:
    """Spec, annotations and the list of who owns which field are what they were."""
    before = stage.route
    stage.set_weight(25)
    assert not stage.seen.at_rest
    stage.restore()
    after = stage.route
    assert json.dumps(after["spec"]) == json.dumps(before["spec"])
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    managers = {entry["manager"] for entry in after["metadata"]["managedFields"]}
    assert "canary-controller" not in managers
    assert stage.seen.at_rest


def test_the_users_next_server_side_apply_is_not_refused(stage: RouterFixture) -> None:
    """Our claim on the rules is given up with them: a changed manifest applies without force."""
    ssa = ("apply", "--server-side", "--field-manager=pipeline", "-f", "-")
    must(kubectl(*ssa, "--force-conflicts", stdin=yaml.safe_dump(manifest())))
    stage.set_weight(25)
    changed = yaml.safe_dump(manifest(timeouts={"request": "9s"}))
    assert "canary-controller" in kubectl(*ssa, stdin=changed).stderr
    stage.restore()
    must(kubectl(*ssa, stdin=changed))
    assert stage.route["spec"]["rules"][0]["timeouts"] == {"request": "9s"}


def test_a_crash_between_the_two_writes_of_restoring(stage: RouterFixture) -> None:
    """The route is right, our claim is still there: not at rest, and the next pass ends it."""
    stage.set_weight(25)
    rules = [{"backendRefs": [{**stage.route["spec"]["rules"][0]["backendRefs"][0], "weight": 1}]}]
    patch = [
        {"op": "test", "path": "/spec/rules/0/backendRefs/1/name", "value": "auth-canary"},
        {"op": "replace", "path": "/spec/rules/0/backendRefs", "value": rules[0]["backendRefs"]},
        {"op": "remove", "path": f"/metadata/annotations/{SAVED_WEIGHTS.replace('/', '~1')}"},
    ]
    stage.client.patch(stage.router.dialect.kind, NAMESPACE, "auth", patch)
    assert (stage.seen.weight, stage.seen.at_rest) == (0, False)
    stage.restore()
    assert stage.seen.at_rest


def test_applied_again_in_mid_release(stage: RouterFixture) -> None:
    """Client-side apply takes the weights away: seen with its name, put right, and put back."""
    before = stage.route
    stage.set_weight(25)
    applied(manifest(timeouts={"request": "7s"}))
    assert (stage.seen.weight, stage.seen.writer) == (0, "kubectl-client-side-apply")
    stage.set_weight(25)
    assert (stage.seen.weight, stage.seen.writer) == (25, None)
    stage.restore()
    rule = stage.route["spec"]["rules"][0]
    assert rule.pop("timeouts") == {"request": "7s"}
    assert stage.route["spec"]["rules"][0]["backendRefs"] == rule["backendRefs"]
    assert rule == before["spec"]["rules"][0]
    assert stage.seen.at_rest


def test_server_side_apply_in_mid_release(stage: RouterFixture) -> None:
    """Unforced it is refused and names us; forced it takes the weights away and is seen."""
    stage.set_weight(25)
    ssa = ("apply", "--server-side", "--field-manager=pipeline", "-f", "-")
    refused = kubectl(*ssa, stdin=yaml.safe_dump(manifest()))
    assert refused.returncode != 0
    assert "canary-controller" in refused.stderr
    must(kubectl(*ssa, "--force-conflicts", stdin=yaml.safe_dump(manifest())))
    assert (stage.seen.weight, stage.seen.writer) == (0, "pipeline")


def test_a_weight_set_by_hand(stage: RouterFixture) -> None:
    """Somebody's kubectl patch is read as it is, and put right without losing the original."""
    before = stage.route
    stage.set_weight(5)
    path = "/spec/rules/0/backendRefs/1/weight"
    by_hand = json.dumps([{"op": "replace", "path": path, "value": 95}])
    must(kubectl("-n", NAMESPACE, "patch", "httproute", "auth", "--type=json", "-p", by_hand))
    assert (stage.seen.weight, stage.seen.writer) == (50, "kubectl-patch")
    stage.router.apply(stage.resource, SetWeight(5))
    assert stage.seen.weight == 5
    stage.restore()
    assert stage.route["spec"] == before["spec"]


def test_who_wrote_in_between_is_not_overwritten(stage: RouterFixture) -> None:
    """A write on top of a stale read is refused."""
    stale = stage.route

    class Stale(Client):
        """Reads what was."""

        def get(self, *_: object) -> Any:
            return stale

    reader = Stale(stage.client._calls.transport)
    behind = router_for(stage.resource, reader)
    applied(manifest(timeouts={"request": "3s"}))
    with pytest.raises(ConflictError):
        behind.apply(stage.resource, SetWeight(50))
    assert stage.seen.weight == 0


def test_a_route_that_goes_in_mid_release(stage: RouterFixture) -> None:
    """It is None; weight 0 and restoring are done already, a rise is refused."""
    stage.set_weight(25)
    must(kubectl("-n", NAMESPACE, "delete", "httproute", "auth"))
    assert stage.router.read(stage.resource) is None
    for done in (SetWeight(0), RestoreRoute()):
        stage.router.apply(stage.resource, done)
    with pytest.raises(ConflictError, match="does not exist"):
        stage.router.apply(stage.resource, SetWeight(50))


def test_a_canary_service_that_does_not_exist(stage: RouterFixture) -> None:
    """The route with an unknown backend is not confirmed."""
    other = build_resource({"gatewayAPI": {"name": "auth"}}, NAMESPACE)
    target = other.spec.target.model_copy(update={"name": "nobody"})
    service = {"service": {"name": "auth"}}
    spec = other.spec.model_validate(
        other.spec.model_dump(by_alias=True, exclude_none=True, mode="json") | service
    ).model_copy(update={"target": target})
    lost = RouterFixture(stage.client, stage.router, type(other)(**_fields(other) | {"spec": spec}))
    lost.router.apply(lost.resource, SetWeight(0))
    until(lambda: not lost.seen.confirmed)
    lost.restore()
    lost.settled()


def _fields(of: object) -> dict[str, Any]:
    return {name: getattr(of, name) for name in type(of).__slots__}


@pytest.fixture
def traefik(client: Client) -> RouterFixture:
    """An IngressRoute over a weighted TraefikService."""
    if not client.serves_kind(TRAEFIK_SERVICES):
        pytest.skip("the cluster has no Traefik resources")
    meta = {"name": "auth", "namespace": NAMESPACE}
    target = {"kind": "TraefikService", "name": "auth"}
    rule = {"kind": "Rule", "match": f"Host(`{CRD_HOST}`)", "services": [target]}
    api = "traefik.io/v1alpha1"
    weighted = {"weighted": {"services": [{"name": "auth", "port": 8080}]}}
    applied(
        {"apiVersion": api, "kind": "IngressRoute", "metadata": meta, "spec": {"routes": [rule]}},
        {"apiVersion": api, "kind": "TraefikService", "metadata": meta, "spec": weighted},
    )
    release = build_resource({"traefik": {"traefikService": "auth"}}, NAMESPACE)
    made = RouterFixture(client, router_for(release, client), release)
    made.settled()
    return made


def test_traefik_service(traefik: RouterFixture) -> None:
    """Exact shares, nothing at 0, nothing dropped, and the missing weight is missing again."""
    before = traefik.route
    traefik.shift(25)
    quarter = asked(400, CRD_HOST)
    with asking(CRD_HOST) as answers:
        traefik.shift(0)
        nothing = asked(100, CRD_HOST)
        traefik.restore()
        traefik.settled()
    assert near(quarter.by["auth-canary"], 100), quarter.by
    assert quarter.failed == 0, quarter.by
    assert nothing.by == {"auth": 100}
    assert answers.failed == 0, answers.by
    assert traefik.route["spec"] == before["spec"]
