"""Conditions: what `kubectl wait`, kstatus, Argo CD and Flux make of a release."""

from dataclasses import replace
from typing import Any

import pytest

from canary.api import (
    Intent,
    MetricStatus,
    Pause,
    Phase,
    Reason,
    Release,
    Status,
    Verdict,
    load_release,
)
from canary.core.analysis.result import NOT_ANALYZED
from canary.core.conditions import build_conditions
from canary.core.plan import PauseTarget, RemoveFinalizer
from canary.core.plan import UnmanageTarget as ReleaseTarget
from canary.core.rollout import decide
from canary.core.snapshot import Obstacle, ReleaseResource, Route, Snapshot, TargetDeployment
from tests.in_memory_world import RELEASE

SPEC = load_release(RELEASE, "tests").spec
RELEASING = Release(template="v2", started_at=1.0, replicas=4)


def status(phase: Phase, reason: Reason, intent: Intent = Intent.REST, **more: Any) -> Status:
    """A status that is about to be written."""
    return Status(phase=phase, reason=reason, intent=intent, observed_generation=3, **more)


def snapshot(
    before: Status, route: Route | None = None, target: TargetDeployment | None = None, **more: Any
) -> Snapshot:
    """The world in which it is written."""
    resource = ReleaseResource("auth", "prod", 3, SPEC, before, "1", **more)
    return Snapshot(2000.0, resource, target, None, route)


AT_REST = status(Phase.READY, Reason.AT_REST, stable_hash="v1")
ADVANCING = status(Phase.PROGRESSING, Reason.HOLDING, Intent.ADVANCE, release=RELEASING, weight=5)
PAUSED = status(
    Phase.PAUSED,
    Reason.NO_DATA,
    Intent.ADVANCE,
    release=RELEASING.model_copy(update={"pause": Pause(reason=Reason.NO_DATA, since=1.0)}),
)
ROLLED_BACK = status(Phase.ROLLED_BACK, Reason.CRASH_LOOPING, stable_hash="v1")
BAKING = status(Phase.BAKING, Reason.BAKING, Intent.BAKE, release=RELEASING)
NO_SERVICE = status(Phase.READY, Reason.SERVICE_NOT_FOUND, stable_hash="v1")

KSTATUS = [
    pytest.param(AT_REST, ("True", "False", "False"), id="at rest: current"),
    pytest.param(ADVANCING, ("False", "True", "False"), id="a release in flight: in progress"),
    pytest.param(PAUSED, ("False", "True", "True"), id="waits for a person: failed"),
    pytest.param(ROLLED_BACK, ("False", "False", "True"), id="rolled back: failed"),
    pytest.param(BAKING, ("True", "True", "False"), id="promoted and watched: current"),
    pytest.param(NO_SERVICE, ("False", "False", "True"), id="no Service: failed"),
]


def found(after: Status, snap: Snapshot) -> dict[str, str]:
    """Type and status of all conditions."""
    return {one.type: one.status for one in build_conditions(after, snap)}


@pytest.mark.parametrize(("after", "expected"), KSTATUS)
def test_what_others_make_of_a_release(after: Status, expected: tuple[str, ...]) -> None:
    """Ready, Progressing and Stalled tell current, in progress and failed apart."""
    made = found(after, snapshot(Status()))
    assert tuple(made[name] for name in ("Ready", "Progressing", "Stalled")) == expected


ROUTES = [
    pytest.param(ADVANCING, Route(5, True, False), "True", id="written and confirmed"),
    pytest.param(ADVANCING, Route(5, False, False), "False", id="not confirmed"),
    pytest.param(ADVANCING, Route(0, True, False), "False", id="not written"),
    pytest.param(ADVANCING, None, "Unknown", id="no route"),
    pytest.param(AT_REST, Route(0, True, True), "False", id="no traffic is meant"),
]


@pytest.mark.parametrize(("after", "route", "expected"), ROUTES)
def test_traffic_is_shifted_when_the_router_says_so(
    after: Status, route: Route | None, expected: str
) -> None:
    """The weight that is meant, as it is in force."""
    assert found(after, snapshot(Status(), route))["TrafficShifted"] == expected


VERDICTS = [
    pytest.param((), "Unknown", id="nothing is measured yet"),
    pytest.param((Verdict.PASS, Verdict.CONTINUE), "True", id="all say something"),
    pytest.param((Verdict.PASS, Verdict.NO_DATA), "False", id="one is silent"),
    pytest.param((Verdict.UNAVAILABLE,), "False", id="monitoring is down"),
]


@pytest.mark.parametrize(("verdicts", "expected"), VERDICTS)
def test_data_is_available_when_every_metric_says_something(
    verdicts: tuple[Verdict, ...], expected: str
) -> None:
    """Silence is not good news."""
    metrics = tuple(MetricStatus(name=v.value.lower(), verdict=v) for v in verdicts)
    after = ADVANCING.model_copy(update={"analysis": metrics})
    assert found(after, snapshot(Status()))["DataAvailable"] == expected


@pytest.mark.parametrize(
    ("held", "expected"), [(True, "True"), (False, "False"), (None, "Unknown")]
)
def test_held_is_what_the_target_is(held: object, expected: str) -> None:
    """Unknown without a target."""
    target = None if held is None else TargetDeployment(4, "v1", "v1", held=bool(held))
    assert found(AT_REST, snapshot(Status(), target=target))["Held"] == expected


def test_capacity_that_cannot_be_kept_is_said_while_a_release_runs() -> None:
    """KEDA writes the autoscaler back, so stable may lose pods; at rest that is its own business."""
    target = TargetDeployment(4, "v1", "v1", held=True, scaled_by="ScaledObject auth")
    assert found(ADVANCING, snapshot(Status(), target=target))["CapacityKept"] == "False"
    assert "CapacityKept" not in found(AT_REST, snapshot(Status(), target=target))
    assert "CapacityKept" not in found(ADVANCING, snapshot(Status()))


def test_a_release_says_from_its_start_that_a_failed_bake_could_not_go_back() -> None:
    """`revisionHistoryLimit: 0` loses the version before as soon as the target has rolled."""
    target = TargetDeployment(4, "v1", "v1", held=True, keeps_history=False)
    watched = snapshot(Status(), target=target)
    spec = watched.resource.spec.model_copy(update={"bake": 600.0})
    baked = replace(watched, resource=replace(watched.resource, spec=spec))
    assert found(ADVANCING, baked)["HistoryKept"] == "False"
    assert "HistoryKept" not in found(AT_REST, baked)
    assert "HistoryKept" not in found(ADVANCING, watched), "nothing is watched after the promotion"
    kept = replace(baked, target=replace(target, keeps_history=True))
    assert "HistoryKept" not in found(ADVANCING, kept)


def test_the_time_of_a_condition_is_that_of_its_last_change() -> None:
    """RFC 3339; nothing changes because time passes."""
    first = AT_REST.model_copy(update={"conditions": build_conditions(AT_REST, snapshot(Status()))})
    assert {one.last_transition_time for one in first.conditions} == {"1970-01-01T00:33:20Z"}
    later = Snapshot(9000.0, snapshot(first).resource, None, None, None)
    assert build_conditions(AT_REST, later) == first.conditions
    moved = {one.type: one.last_transition_time for one in build_conditions(ADVANCING, later)}
    assert moved["Ready"] == "1970-01-01T02:30:00Z"
    assert moved["Stalled"] == "1970-01-01T00:33:20Z"


OBSTACLES = [
    pytest.param(Status(), Reason.TARGET_TAKEN, (), Reason.TARGET_TAKEN, id="taken: not ours"),
    pytest.param(
        AT_REST, Reason.TARGET_TAKEN, (), Reason.TARGET_TAKEN, id="taken from us: not touched"
    ),
    pytest.param(
        Status(),
        Reason.SERVICE_NOT_FOUND,
        (PauseTarget("v1"),),
        Reason.ADOPTED,
        id="adopted, though",
    ),
    pytest.param(
        AT_REST,
        Reason.NAME_TAKEN,
        (PauseTarget("v1"),),
        Reason.AT_REST,
        id="and held again, though",
    ),
]


@pytest.mark.parametrize(("before", "reason", "actions", "said"), OBSTACLES)
def test_what_stands_in_the_way_of_a_release(
    before: Status, reason: Reason, actions: tuple[PauseTarget, ...], said: Reason
) -> None:
    """Another release's target is not touched; whatever else is missing, the target is held."""
    target = TargetDeployment(4, "v1", "v1", held=False, obstacle=Obstacle(reason, "why"))
    plan = decide(snapshot(before, Route(0, True, True), target), NOT_ANALYZED)
    assert plan.actions == actions
    assert plan.status.reason is said


def test_no_release_starts_against_an_obstacle() -> None:
    """A new template waits, held, and the status says for what."""
    target = TargetDeployment(
        4, "v2", None, held=True, obstacle=Obstacle(Reason.NOT_ISOLATED, "why")
    )
    plan = decide(snapshot(AT_REST, Route(0, True, True), target), NOT_ANALYZED)
    assert (plan.actions, plan.status.reason) == ((), Reason.NOT_ISOLATED)
    assert (plan.status.message, plan.status.phase) == ("why", Phase.READY)


def test_deleting_what_never_held_anything_touches_nothing() -> None:
    """Route and canary may be another release's; letting go is guarded by the annotation."""
    snap = snapshot(
        Status(),
        Route(25, True, False),
        TargetDeployment(4, "v2", None, True),
        deleting_since=1999.0,
    )
    assert decide(snap, NOT_ANALYZED).actions == (ReleaseTarget(), RemoveFinalizer())
