"""The observer of the fault tests sees every kind of violation, and nothing in a good release."""

from typing import Any

import pytest

from canary.kube.objects import Object
from e2e.faults.context import FaultResult
from e2e.faults.invariants import ReleasePlan, find_leftovers, find_violations
from e2e.faults.observer import Observation
from e2e.faults.result_table import replace_table
from e2e.harness.auth import route

GOOD = ReleasePlan("v2", (20, 50), 4.0, healthy=True)
BAD = ReleasePlan("v2", (20, 50), 4.0, healthy=False)


def weight(at: float, canary: int) -> Observation:
    """The route with this weight."""
    made = route("prod")
    refs = [{"name": "auth", "weight": 100 - canary}, {"name": "auth-canary", "weight": canary}]
    made["spec"]["rules"][0]["backendRefs"] = refs
    return Observation(at, deleted=False, obj=made)


def status(at: float, **fields: Any) -> Observation:
    """A status of the CanaryRelease."""
    release = {"kind": "CanaryRelease", "metadata": {"name": "auth"}, "status": fields}
    return Observation(at, deleted=False, obj=release)


def pod(at: float, name: str, version: str) -> Observation:
    """A pod that runs a version."""
    container = {"name": "auth", "env": [{"name": "VERSION", "value": version}]}
    made = {"kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}
    return Observation(at, deleted=False, obj=made)


def endpoint(at: float, service: str, name: str) -> Observation:
    """A pod among the endpoints of a Service."""
    labels = {"kubernetes.io/service-name": service}
    made = {
        "kind": "EndpointSlice",
        "metadata": {"name": f"{service}-x", "labels": labels},
        "endpoints": [{"targetRef": {"name": name}}],
    }
    return Observation(at, deleted=False, obj=made)


PROMOTED = [
    status(0, intent="Advance", verdict="Pass"),  # of the release before
    weight(1, 0),
    pod(1, "auth-canary-1", "v2"),
    endpoint(2, "auth-canary", "auth-canary-1"),
    weight(10, 20),
    weight(20, 50),
    status(29, intent="Advance", verdict="Pass"),
    status(30, intent="Promote", verdict="Pass"),
    weight(31, 100),
    pod(32, "auth-1", "v2"),
    endpoint(33, "auth", "auth-1"),
    weight(40, 0),
]


def test_a_promotion_step_by_step_is_fine():
    """Each step in its time, a Pass, and only then pods of the target."""
    assert find_violations(GOOD, PROMOTED) == []


def test_a_rollback_from_the_first_step_is_fine():
    """The version that fails never has more than the first step."""
    log = [weight(1, 20), status(2, intent="RollBack", verdict="Fail"), weight(3, 0)]
    assert find_violations(BAD, log) == []


@pytest.mark.parametrize(
    ("plan", "log", "sentence"),
    [
        pytest.param(GOOD, [weight(1, 90)], "weight 90, which is no step of (20, 50)", id="weight"),
        pytest.param(
            GOOD,
            [weight(1, 20), weight(9, 100)],
            "weight rose from 20 to 100: a step was left out",
            id="a step is left out",
        ),
        pytest.param(
            GOOD,
            [weight(1, 20), weight(3, 50)],
            "step of 20 % ended after 2.0 s of 4",
            id="a step is too short",
        ),
        pytest.param(
            BAD,
            [weight(1, 20), weight(9, 50)],
            "a version that fails got weight 50",
            id="bad rises",
        ),
        pytest.param(
            GOOD,
            [weight(1, 20), pod(5, "auth-1", "v2"), weight(20, 50), weight(30, 100)],
            "pod auth-1 of the target runs v2, which is not promoted",
            id="the target rolls early",
        ),
        pytest.param(
            BAD,
            [pod(5, "auth-1", "v2")],
            "pod auth-1 of the target runs v2, which is not promoted",
            id="the target rolls to a bad version",
        ),
        pytest.param(
            GOOD,
            [
                status(0, intent="Advance", verdict="Pass"),
                weight(1, 20),
                status(2, intent="Promote", verdict="Continue"),
            ],
            "it is promoted without a Pass",
            id="only the release before had a Pass",
        ),
        pytest.param(
            BAD,
            [weight(1, 20), status(2, intent="Promote", verdict="Pass")],
            "a version that fails is promoted",
            id="a bad version is promoted",
        ),
        pytest.param(
            GOOD,
            [endpoint(1, "auth", "auth-canary-1")],
            "Service auth selected a canary pod",
            id="another Service selects the canary",
        ),
    ],
)
def test_a_violation_is_seen(plan: ReleasePlan, log: list[Observation], sentence: str):
    """One sentence says which invariant is violated."""
    assert find_violations(plan, log) == [sentence]


def test_a_weight_that_a_test_writes_is_not_the_operators():
    """Where a test writes the route as well, weights are not checked; the target's pods are."""
    plan = ReleasePlan("v2", (20, 50), 4.0, healthy=True, own_weights=False)
    assert find_violations(plan, [weight(1, 90)]) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({}, None, id="as it was"),
        pytest.param(
            {"annotations": {"x": "1"}}, "HTTPRoute auth: annotations was", id="annotation"
        ),
        pytest.param({"finalizers": ["x"]}, "HTTPRoute auth: finalizers was", id="finalizer"),
    ],
)
def test_what_is_not_given_back_is_named(change: Object, sentence: str | None):
    """The part of the user's object that differs."""
    before, after = route("prod"), route("prod")
    after["metadata"] |= change
    found = find_leftovers([before], [after], ["deployment.apps/auth"])
    assert [one.startswith(str(sentence)) for one in found] == ([True] if sentence else [])


def test_an_object_of_the_canary_that_stays_is_named():
    """Its Deployment, for one."""
    assert find_leftovers([], [], ["deployment.apps/auth-canary"]) == [
        "deployment.apps/auth-canary is left over"
    ]


def test_a_row_of_the_table_is_replaced_and_others_stay():
    """A run of a few faults writes those; what was violated stands in the row."""
    page = "text\n<!-- faults:start -->\n<!-- faults:end -->\nmore\n"
    first = [FaultResult("a", "fine", (), 61.4), FaultResult("b", "fine", (), 5.0)]
    page = replace_table(page, first)
    page = replace_table(page, [FaultResult("b", "odd", ("weight 90",), 7.0)])
    assert page.splitlines()[4:6] == [
        "| a | fine | held | 61 |",
        "| b | odd | **violated**: weight 90 | 7 |",
    ]
    assert page.endswith("<!-- faults:end -->\nmore\n")
