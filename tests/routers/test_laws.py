"""Laws that hold for every route, whatever its weights, backends and unknown fields."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from canary.core.plan import RestoreRoute, SetWeight
from canary.routers.dialect import Dialect
from canary.routers.gateway_api import ENVOY_GATEWAY, GRPC_ROUTE, HTTP_ROUTE
from canary.routers.istio import VIRTUAL_SERVICE
from canary.routers.names import Names
from canary.routers.route_client import WeightedRouteClient
from canary.routers.several import MultiRouteRouter
from canary.routers.split import find_problem, read_weight, restore_weights, with_weight
from canary.routers.traefik import TRAEFIK_SERVICE
from tests.kube.fake_cluster import FakeCluster
from tests.routers.golden_routes import NAMES, build_resource

Route = dict[str, Any]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)
FOREIGN = st.dictionaries(st.sampled_from(["x-new", "timeouts", "retry", "zone"]), JSON, max_size=2)
PERCENT = st.integers(0, 100)
CART = Names("prod", "cart", "cart")
"""A second release on the same route."""
OTHERS = ("legacy", "auth2", "auth-canary2", "other")
WEIGHT = st.one_of(st.none(), st.integers(0, 200), st.sampled_from([1, 50, 100, 1000]))


@st.composite
def backends(draw: st.DrawFn, dialect: Dialect, service: str) -> Route:
    """One backend with fields that we know nothing of."""
    ref = draw(FOREIGN)
    if dialect is VIRTUAL_SERVICE:
        tail = draw(st.sampled_from(["", ".prod", ".prod.svc.cluster.local"]))
        ref["destination"] = {"host": service + tail, **draw(FOREIGN)}
    else:
        ref |= {"name": service, "port": draw(st.integers(1, 65535))}
    weight = draw(WEIGHT)
    return ref if weight is None else {**ref, "weight": weight}


@st.composite
def rules(draw: st.DrawFn, dialect: Dialect, index: int) -> Route:
    """A rule with the user's Service and others in any order, or a rule without any backend."""
    rule = draw(FOREIGN) | {"name": f"rule-{index}"}
    services = draw(st.lists(st.sampled_from(["auth", "auth", "cart", *OTHERS]), max_size=3))
    if services:
        rule[dialect.refs] = [draw(backends(dialect, service)) for service in services]
    return rule | draw(FOREIGN)


@st.composite
def routes(draw: st.DrawFn) -> tuple[Dialect, Route]:
    """A route that can be weighted."""
    dialect = draw(st.sampled_from([HTTP_ROUTE, GRPC_ROUTE, VIRTUAL_SERVICE, TRAEFIK_SERVICE]))
    lone = dialect is TRAEFIK_SERVICE
    count = 1 if lone else draw(st.integers(1, 3))
    found = [draw(rules(dialect, index)) for index in range(count)]
    found[0].setdefault(dialect.refs, []).append(
        {**draw(backends(dialect, "auth")), "weight": draw(st.integers(1, 100))}
    )
    notes = draw(st.dictionaries(st.sampled_from(["team", "note"]), st.text(max_size=3)))
    controller = draw(st.sampled_from([ENVOY_GATEWAY, "traefik.io/gateway-controller"]))
    for rule in found if draw(st.booleans()) else ():  # with Envoy Gateway: a cluster for each
        for ref in rule.get(dialect.refs) or ():
            ref["filters"] = [{"type": "RequestHeaderModifier"}]
    metadata: Route = {"name": "auth", "namespace": "prod", "generation": 1}
    return dialect, {
        "kind": dialect.kind.kind,
        "metadata": metadata | ({"annotations": notes} if notes else {}),
        "spec": draw(FOREIGN) | {dialect.at[1]: found[0] if lone else found},
        "status": {"parents": [{"controllerName": controller}]},
    }


@settings(max_examples=60, deadline=None)
@given(routes(), PERCENT)
def test_round_trip(case: tuple[Dialect, Route], weight: int) -> None:
    """Restoring gives back the very bytes, missing weights and the order of keys included."""
    dialect, route = case
    before = json.dumps(route)
    written = with_weight(dialect, route, NAMES, weight)
    assert json.dumps(restore_weights(dialect, written, NAMES)) == before
    assert json.dumps(route) == before, "what was given is never changed in place"


@settings(max_examples=60, deadline=None)
@given(routes(), PERCENT)
def test_what_is_written_is_read(case: tuple[Dialect, Route], weight: int) -> None:
    """Every percentage can be written exactly."""
    dialect, route = case
    assert read_weight(dialect, with_weight(dialect, route, NAMES, weight), NAMES) == weight


@settings(max_examples=60, deadline=None)
@given(routes(), PERCENT, PERCENT)
def test_only_the_last_weight_counts(case: tuple[Dialect, Route], first: int, second: int) -> None:
    """Writing twice is writing once; writing the same again changes nothing."""
    dialect, route = case
    through = with_weight(dialect, with_weight(dialect, route, NAMES, first), NAMES, second)
    assert through == with_weight(dialect, route, NAMES, second)
    assert with_weight(dialect, through, NAMES, second) == through


@settings(max_examples=60, deadline=None)
@given(routes(), PERCENT)
def test_foreign_fields_stay(case: tuple[Dialect, Route], weight: int) -> None:
    """Without our backends, our annotation and all weights, nothing has changed."""
    dialect, route = case
    written = with_weight(dialect, route, NAMES, weight)
    assert _foreign(dialect, written) == _foreign(dialect, route)


@settings(max_examples=60, deadline=None)
@given(routes(), PERCENT)
def test_others_keep_their_share(case: tuple[Dialect, Route], weight: int) -> None:
    """A third backend gets the same part of all traffic as before."""
    dialect, route = case
    written = with_weight(dialect, route, NAMES, weight)
    for before, after in zip(dialect.rules(route), dialect.rules(written), strict=True):
        old, new = before.get(dialect.refs) or [], after.get(dialect.refs) or []
        old_sum = sum(dialect.weight(ref, old) for ref in old)
        new_sum = sum(dialect.weight(ref, new) for ref in new)
        for one, other in zip(old, new, strict=False):
            if not _is(dialect, one, "auth"):
                assert dialect.weight(one, old) * new_sum == dialect.weight(other, new) * old_sum


@settings(max_examples=60, deadline=None)
@given(routes(), PERCENT)
def test_without_memory_the_traffic_is_right(case: tuple[Dialect, Route], weight: int) -> None:
    """If somebody drops our annotation, backends still get the shares that the user gave them."""
    dialect, route = case
    written = with_weight(dialect, route, NAMES, weight)
    written["metadata"] = {k: v for k, v in route["metadata"].items() if k != "annotations"}
    put_back = restore_weights(dialect, written, NAMES)
    for before, after in zip(dialect.rules(route), dialect.rules(put_back), strict=True):
        old, new = before.get(dialect.refs) or [], after.get(dialect.refs) or []
        old_sum = sum(dialect.weight(ref, old) for ref in old)
        new_sum = sum(dialect.weight(ref, new) for ref in new)
        for one, other in zip(old, new, strict=True):
            assert dialect.weight(one, old) * new_sum == dialect.weight(other, new) * old_sum


@settings(max_examples=60, deadline=None)
@given(routes())
def test_a_fit_route_has_no_problem(case: tuple[Dialect, Route]) -> None:
    """Neither before nor during a release."""
    dialect, route = case
    assert find_problem(dialect, route, NAMES) is None
    assert find_problem(dialect, with_weight(dialect, route, NAMES, 100), NAMES) is None


WISHES = st.lists(
    st.tuples(st.sampled_from([NAMES, CART]), st.one_of(st.none(), PERCENT)), min_size=2, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(routes(), WISHES)
def test_two_releases_on_one_route(
    case: tuple[Dialect, Route], wishes: list[tuple[Names, int | None]]
) -> None:
    """Neither changes the other's weight; when both are over, the route is as it was written."""
    dialect, route = case
    written, meant = route, {NAMES.target: 0, CART.target: 0}
    for names, weight in wishes:
        if weight is None:
            written = restore_weights(dialect, written, names)
        elif find_problem(dialect, written, names) is None:
            written = with_weight(dialect, written, names, weight)
        else:
            continue
        meant[names.target] = weight or 0
        seen = {one.target: read_weight(dialect, written, one) for one in (NAMES, CART)}
        assert seen == meant
    ends = (wishes[0][0], CART if wishes[0][0] is NAMES else NAMES)
    for names in ends:
        written = restore_weights(dialect, written, names)
    assert json.dumps(written) == json.dumps(route)


@settings(max_examples=60, deadline=None)
@given(routes(), routes(), st.lists(PERCENT, min_size=1, max_size=3))
def test_two_routes_of_one_release(
    one: tuple[Dialect, Route], other: tuple[Dialect, Route], weights: list[int]
) -> None:
    """Both get each weight, the largest is what is read, and both come back to the byte."""
    cluster, routers = FakeCluster(), dict[str, WeightedRouteClient]()
    before = dict[str, Route]()
    for name, (dialect, route) in (("one", one), ("other", other)):
        put = copy.deepcopy(route)
        put["metadata"]["name"] = name
        del put["status"]
        before[name] = cluster.put(dialect.kind, put)
        routers[name] = WeightedRouteClient(cluster, dialect, name)
    router, asked = MultiRouteRouter(routers), build_resource({"replicas": {}})
    for weight in weights:
        router.apply(asked, SetWeight(weight))
        seen = router.read(asked)
        assert seen is not None
        assert (seen.weight, seen.least) == (weight, weight)
    router.apply(asked, RestoreRoute())
    for name, (dialect, _) in (("one", one), ("other", other)):
        after = cluster.get(dialect.kind, "prod", name)
        assert after is not None
        for part in ("spec", "metadata"):
            assert json.dumps(_timeless(after[part])) == json.dumps(_timeless(before[name][part]))


def _timeless(part: Route) -> Route:
    """Without what every write changes."""
    return {k: v for k, v in part.items() if k not in {"resourceVersion", "generation"}}


def _is(dialect: Dialect, ref: Route, service: str) -> bool:
    return dialect.sends_to(ref, service, "prod")


def _foreign(dialect: Dialect, route: Route) -> Route:
    bare = copy.deepcopy(route)
    for rule in dialect.rules(bare):
        if dialect.refs in rule:
            rule[dialect.refs] = list(_without_ours(dialect, rule[dialect.refs]))
    notes = bare["metadata"].pop("annotations", {})
    notes.pop("canary-controller.dev/weights-before", None)
    return {**bare, "notes": notes}


def _without_ours(dialect: Dialect, refs: list[Route]) -> Iterator[Route]:
    for ref in refs:
        if not _is(dialect, ref, "auth-canary"):
            yield {key: value for key, value in ref.items() if key != "weight"}
