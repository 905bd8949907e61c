"""What is decided, one sentence per situation; whole runs are in tests/test_reconcile.py."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.api import (
    CheckStatus,
    HistoryEntry,
    Intent,
    OnInconclusive,
    Override,
    Pause,
    Phase,
    Reason,
    Release,
    Result,
    Skip,
    Spec,
    Status,
    Verdict,
    load_release,
)
from canary.api.traffic import ReplicaShare, TrafficSpec
from canary.core.analysis.result import AnalysisResult
from canary.core.invariants import broken_by_action
from canary.core.plan import (
    DeleteCanary,
    EnsureCanary,
    NoteRejection,
    PauseTarget,
    PinMinReplicas,
    RemoveFinalizer,
    RestoreRoute,
    RestoreTemplate,
    ResumeTarget,
    RunChecks,
    SetWeight,
    UnpinMinReplicas,
)
from canary.core.plan import UnmanageTarget as ReleaseTarget
from canary.core.rollout import canary_replicas, decide, phase_of, pods_for_share
from canary.core.snapshot import (
    Canary,
    Obstacle,
    Pod,
    PodFailure,
    Rejection,
    ReleaseRequest,
    ReleaseResource,
    Route,
    Snapshot,
    TargetDeployment,
    Verb,
)
from tests.in_memory_world import RELEASE

NOW = 5000.0
PASS = AnalysisResult(step=Verdict.PASS, final=Verdict.PASS)
CONTINUE = AnalysisResult(step=Verdict.CONTINUE, final=Verdict.CONTINUE)
FAIL = AnalysisResult(step=Verdict.FAIL, final=Verdict.FAIL, reason=Reason.WORSE_THAN_STABLE)
SILENT = AnalysisResult(step=Verdict.NO_DATA, final=Verdict.NO_DATA)
DOWN = AnalysisResult(step=Verdict.UNAVAILABLE, final=Verdict.UNAVAILABLE)

SPEC = load_release(RELEASE, "tests").spec
RELEASING = Release(
    template="v2", started_at=4000.0, replicas=4, judged_from=4010.0, confirmed_at=4990.0
)
AT_REST = Status(stable_hash="v1", reason=Reason.AT_REST, observed_generation=1)
IN_STEP = AT_REST.model_copy(
    update={
        "intent": Intent.ADVANCE,
        "release": RELEASING,
        "weight": 5,
        "step_started_at": 4970.0,
        "reason": Reason.HOLDING,
    }
)
PROMOTING = IN_STEP.model_copy(update={"intent": Intent.PROMOTE, "weight": 100, "step": 2})
ROLLING_BACK = IN_STEP.model_copy(
    update={
        "intent": Intent.ROLL_BACK,
        "weight": 0,
        "release": RELEASING.model_copy(update={"failed": Reason.CANARY_OUTAGE}),
    }
)


def pods(count: int, *, ready: bool = True, **more: object) -> tuple[Pod, ...]:
    """So many pods, all alike."""
    return tuple(Pod(f"p{i}", ready, 4010.0 if ready else None, **more) for i in range(count))


def snapshot(  # noqa: PLR0913 - a table's columns
    status: Status,
    *,
    template: str = "v2",
    running: str | None = "v1",
    held: bool = True,
    replicas: int = 4,
    weight: int | None = None,
    confirmed: bool = True,
    canary: Canary | None = None,
    spec: Spec = SPEC,
    checks: tuple[CheckStatus, ...] = (),
    request: Verb | None = None,
    deleting_since: float | None = None,
) -> Snapshot:
    """The world of one row: what is not said is as it should be."""
    at_rest = weight is None and status.weight == 0
    route = Route(status.weight if weight is None else weight, confirmed, at_rest)
    asked = ReleaseRequest(request, "r1") if request else None
    resource = ReleaseResource("auth", "prod", 1, spec, status, "1", deleting_since, asked)
    rejected = status.rejected_hash
    noted = Rejection(rejected, Reason.CANARY_OUTAGE, 2.0) if rejected else None
    target = TargetDeployment(replicas, template, running, held, pods(4), rejection=noted)
    return Snapshot(NOW, resource, target, canary, route, checks)


CANARY = Canary("v2", 2, pods(2))


def remembering(rejected: str, snap: Snapshot, beside: str | None = None) -> Snapshot:
    """The target's annotation names a template, which an earlier CanaryRelease rolled back."""
    target = snap.target
    assert target is not None
    other = beside if target.running in {None, target.template} else target.running
    noted = Rejection(rejected, Reason.CANARY_OUTAGE, 2.0)
    changes = {"rejection": noted, "rejected": frozenset({rejected}), "other_ready": other}
    return replace(snap, target=replace(target, **changes))


def shrunk(snap: Snapshot, replicas: int, floor: int | None) -> Snapshot:
    """Somebody else wrote how many pods the target has, and the autoscaler's minimum."""
    return replace(snap, target=replace(snap.target, replicas=replicas, floor=floor))


def spec_with(**changes: object) -> Spec:
    """The spec with other fields."""
    return SPEC.model_copy(update=changes)


def release_with(status: Status, **changes: object) -> Status:
    """The status with other fields of its release."""
    return status.model_copy(update={"release": status.release.model_copy(update=changes)})


@pytest.mark.parametrize("status", [IN_STEP, PROMOTING], ids=["step", "promotion"])
def test_no_weight_is_meant_before_the_router_has_taken_weight_0_over(status: Status):
    """The gateway has not said yet whether it still refuses the route as it is now."""
    lowered = release_with(status.model_copy(update={"weight": 0}), confirmed_at=None)
    canary = Canary("v2", 4, pods(4))
    plan = decide(snapshot(lowered, weight=0, confirmed=False, canary=canary), PASS)
    assert (plan.status.weight, plan.actions) == (0, ())
    plan = decide(snapshot(lowered, weight=0, confirmed=True, canary=canary), PASS)
    assert plan.status.weight == status.weight


@pytest.mark.parametrize(
    ("reason", "intent"),
    [(Reason.SERVICE_SELECTS_NO_POD, Intent.PROMOTE), (Reason.NOT_ISOLATED, Intent.REST)],
)
def test_a_person_releases_the_version_that_has_the_services_port(reason: Reason, intent: Intent):
    """Stable cannot be reached: skipping the analysis ends the outage, whatever started it.

    What cannot be isolated, on the other hand, would get users' requests before any check.
    """
    snap = snapshot(AT_REST)
    request = ReleaseRequest(Verb.PROMOTE, "r1", Skip.ANALYSIS, "port renamed", "ada")
    blocked = replace(snap.target, obstacle=Obstacle(reason, "no endpoints"))
    assert decide(replace(snap, target=blocked), PASS).status.reason is reason
    asked = replace(snap, target=blocked, resource=replace(snap.resource, request=request))
    assert decide(asked, PASS).status.intent is intent


def test_invariant_12_nothing_grows_while_another_service_selects_canary_pods():
    """Neither the canary nor its weight."""
    snap = snapshot(IN_STEP, canary=replace(CANARY, selected_by=("backend",)))
    for action in (EnsureCanary("v2", 3), SetWeight(100)):
        assert any("backend" in one for one in broken_by_action(snap, PASS, action))
    assert broken_by_action(snap, PASS, SetWeight(0)) == ()


REJECTED = HistoryEntry(
    template="v2",
    result=Result.ROLLED_BACK,
    reason=Reason.CANARY_OUTAGE,
    message="all of it failed",
    started_at=1.0,
    ended_at=2.0,
)

REFUSED = Route(5, confirmed=False, at_rest=False, refused="Gateway public does not serve it")

NO_IMAGE = Canary("v2", 2, pods(2, ready=False, trouble=PodFailure.NO_IMAGE), "ErrImagePull: x:1.")

SELECTED = Canary("v2", 4, pods(4), selected_by=("backend",))
SKIPPED = Override(skip=Skip.ANALYSIS, reason="the database is back", at=NOW)
BUSY = replace(PASS, canary_busy=True)
GOING = release_with(
    PROMOTING.model_copy(update={"weight": 0}), unhold_at=4000.0, rolled=True, confirmed_at=4900.0
)

ROWS = [
    pytest.param(
        snapshot(IN_STEP, canary=Canary("v2", 2, pods(2, ready=False))), PASS, Intent.ADVANCE,
        Reason.CANARY_NOT_READY, (SetWeight(0),),
        id="no canary pod is ready: the traffic goes, although the judge says Pass",
    ),
    pytest.param(
        snapshot(
            release_with(IN_STEP.model_copy(update={"weight": 0}), unready_since=NOW - 31),
            canary=Canary("v2", 2, pods(2, ready=False)),
        ),
        DOWN, Intent.ROLL_BACK, Reason.CANARY_OUTAGE, (SetWeight(0),),
        id="no ready pod for longer than the tolerated incident rolls back",
    ),
    pytest.param(
        snapshot(release_with(IN_STEP, outages=2), canary=Canary("v2", 2, pods(2, ready=False))),
        PASS, Intent.ROLL_BACK, Reason.CANARY_OUTAGE, (SetWeight(0),),
        id="the third time without a ready pod in one step rolls back",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=Canary("v2", 2, (*pods(1), *pods(1, ready=False)))), PASS,
        Intent.ADVANCE, Reason.CANARY_NOT_READY, (),
        id="one of two pods carries the weight, but the step does not pass",
    ),
    pytest.param(
        snapshot(PROMOTING, canary=Canary("v2", 4, (*pods(3), *pods(1, ready=False)))), PASS,
        Intent.PROMOTE, Reason.CANARY_NOT_READY, (SetWeight(75),),
        id="three of four pods: the roll does not begin, and the weight is what they carry",
    ),
    pytest.param(
        replace(snapshot(IN_STEP, canary=CANARY), route=REFUSED), PASS, Intent.ADVANCE,
        Reason.ROUTE_NOT_ACCEPTED, (SetWeight(0),),
        id="a route that the gateway refuses has no weight",
    ),
    pytest.param(
        replace(
            snapshot(IN_STEP.model_copy(update={"weight": 0}), canary=CANARY),
            route=replace(REFUSED, weight=0),
        ),
        PASS, Intent.ADVANCE, Reason.ROUTE_NOT_ACCEPTED, (),
        id="no weight is written while the gateway refuses the route",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=replace(CANARY, follows_service=False)), PASS, Intent.ADVANCE,
        Reason.HOLDING, (EnsureCanary("v2", 2),),
        id="the canary's Service follows the user's",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY, replicas=50), PASS, Intent.ADVANCE, Reason.HOLDING,
        (PinMinReplicas(50), EnsureCanary("v2", 3)),
        id="stable grew: the canary and the autoscaler's floor follow",
    ),
    pytest.param(
        shrunk(snapshot(IN_STEP, canary=CANARY), replicas=2, floor=2), PASS, Intent.ADVANCE,
        Reason.HOLDING, (PinMinReplicas(4),),
        id="stable lost pods and the autoscaler its floor: it is raised again",
    ),
    pytest.param(
        shrunk(snapshot(PROMOTING, canary=replace(CANARY, replicas=4, pods=pods(4))), 2, 2), PASS,
        Intent.PROMOTE, Reason.HOLDING, (PinMinReplicas(4),),
        id="also while everything is promoted",
    ),
    pytest.param(
        shrunk(snapshot(IN_STEP, canary=CANARY), replicas=2, floor=None), PASS, Intent.ADVANCE,
        Reason.STEP_PASSED, (),
        id="without an autoscaler the number of pods is what the user wrote",
    ),
    pytest.param(
        snapshot(Status(), running=None), PASS, Intent.REST, Reason.TARGET_NOT_STABLE, (),
        id="a target in the middle of a roll is not adopted yet",
    ),
    pytest.param(
        snapshot(Status(), template="v1"), PASS, Intent.REST, Reason.ADOPTED, (PauseTarget("v1"),),
        id="a target that runs one template everywhere is adopted and held",
    ),
    pytest.param(
        snapshot(AT_REST, template="v1"), PASS, Intent.REST, Reason.AT_REST, (),
        id="at rest with the vetted template nothing is done",
    ),
    pytest.param(
        snapshot(AT_REST), PASS, Intent.ADVANCE, Reason.STARTED, (PinMinReplicas(4),),
        id="a new template starts a release at weight 0",
    ),
    pytest.param(
        snapshot(AT_REST, spec=spec_with(suspend=True)), PASS, Intent.REST, Reason.SUSPENDED, (),
        id="a suspended release takes no new template",
    ),
    pytest.param(
        snapshot(AT_REST, replicas=0), PASS, Intent.REST, Reason.TARGET_SCALED_TO_ZERO, (),
        id="a target without replicas has no traffic to share",
    ),
    pytest.param(
        snapshot(
            AT_REST.model_copy(
                update={
                    "rejected_hash": "v2",
                    "reason": Reason.AT_REST,
                    "history": (REJECTED,),
                }
            )
        ),
        PASS, Intent.REST, Reason.CANARY_OUTAGE, (),
        id="a rejected template does not start again by itself",
    ),
    pytest.param(
        snapshot(AT_REST.model_copy(update={"rejected_hash": "v2"}), request=Verb.RETRY),
        PASS, Intent.ADVANCE, Reason.STARTED, (NoteRejection(None), PinMinReplicas(4)),
        id="a retry starts the rejected template again, and the target forgets it",
    ),
    pytest.param(
        remembering("v2", snapshot(Status(), template="v1")), PASS, Intent.REST, Reason.ADOPTED,
        (PauseTarget("v1"),),
        id="another template than the rejected one is adopted",
    ),
    pytest.param(
        remembering("v2", snapshot(Status())), PASS, Intent.REST, Reason.REJECTED, (PauseTarget("v1"),),
        id="beside a rejected template that is paused, what runs is adopted",
    ),
    pytest.param(
        remembering("v2", snapshot(Status(), held=False, running=None), beside="v1"), PASS,
        Intent.REST, Reason.REJECTED, (RestoreTemplate("v1"),),
        id="a rejected template that has begun to roll is put back",
    ),
    pytest.param(
        remembering("v2", snapshot(Status(), held=False, running="v2")), PASS, Intent.REST,
        Reason.REJECTED, (),
        id="a rejected template that runs everywhere is not adopted",
    ),
    pytest.param(
        remembering("v2", snapshot(Status(), held=False, running=None)), PASS, Intent.REST,
        Reason.REJECTED, (),
        id="nor while it rolls with nothing else beside it",
    ),
    pytest.param(
        remembering("v2", snapshot(Status(), held=False, running="v2", request=Verb.RETRY)), PASS,
        Intent.REST, Reason.ADOPTED, (NoteRejection(None), PauseTarget("v2")),
        id="unless a person accepts it",
    ),
    pytest.param(
        remembering("v2", snapshot(AT_REST, held=False, running="v2")), PASS, Intent.REST,
        Reason.UNPAUSED_BY_HAND, (RestoreTemplate("v1"),),
        id="a rejected template that was let roll while nobody looked is put back",
    ),
    pytest.param(
        snapshot(ROLLING_BACK, template="v1", deleting_since=NOW), PASS, Intent.ROLL_BACK,
        Reason.DELETED,
        (
            NoteRejection(Rejection("v2", Reason.CANARY_OUTAGE, NOW)),
            UnpinMinReplicas(), ReleaseTarget(), RemoveFinalizer(),
        ),
        id="a release that is deleted while it is rolled back leaves behind what it rejects",
    ),
    pytest.param(
        snapshot(AT_REST, held=False, running=None), PASS, Intent.REST, Reason.UNPAUSED_BY_HAND,
        (RestoreTemplate("v1"),),
        id="an unvetted template that rolls past us is put back",
    ),
    pytest.param(
        snapshot(AT_REST, held=False, running="v2"), PASS, Intent.REST,
        Reason.ROLLED_OUT_WITHOUT_CANARY, (PauseTarget("v2"),),
        id="a template that already runs everywhere is taken as stable and said so",
    ),
    pytest.param(
        snapshot(release_with(IN_STEP.model_copy(update={"weight": 0}), confirmed_at=None)),
        SILENT, Intent.ADVANCE, Reason.CANARY_NOT_READY, (EnsureCanary("v2", 2),),
        id="the canary is created with the pods for the first step, at least two",
    ),
    pytest.param(
        snapshot(
            release_with(IN_STEP.model_copy(update={"weight": 0}), confirmed_at=None),
            canary=Canary("v2", 2, pods(2, ready=False)),
        ),
        SILENT, Intent.ADVANCE, Reason.CANARY_NOT_READY, (),
        id="no weight before the canary's pods are ready",
    ),
    pytest.param(
        snapshot(
            release_with(
                IN_STEP.model_copy(update={"weight": 0}), confirmed_at=None, scaling_since=4000.0
            ),
            canary=Canary("v2", 2, pods(2, ready=False)),
        ),
        SILENT, Intent.ROLL_BACK, Reason.NEVER_READY, (SetWeight(0),),
        id="pods that are not ready within the progress deadline are a failure",
    ),
    pytest.param(
        snapshot(release_with(IN_STEP.model_copy(update={"weight": 0}), confirmed_at=None),
                 canary=CANARY),
        SILENT, Intent.ADVANCE, Reason.SHIFTING_TRAFFIC, (),
        id="a rise is written to the status before the route",
    ),
    pytest.param(
        snapshot(release_with(IN_STEP, confirmed_at=None), weight=0, canary=CANARY),
        SILENT, Intent.ADVANCE, Reason.SHIFTING_TRAFFIC,
        (PinMinReplicas(4), SetWeight(5)),
        id="the route follows the status, and stable's capacity is seen to before",
    ),
    pytest.param(
        snapshot(release_with(IN_STEP, confirmed_at=None), canary=CANARY, confirmed=False),
        SILENT, Intent.ADVANCE, Reason.SHIFTING_TRAFFIC, (),
        id="an unconfirmed route does not start the clock",
    ),
    pytest.param(
        snapshot(IN_STEP.model_copy(update={"step_started_at": NOW - 5}), canary=CANARY),
        PASS, Intent.ADVANCE, Reason.HOLDING, (),
        id="the hold is waited for although the evidence is there",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY), CONTINUE, Intent.ADVANCE, Reason.GATHERING_EVIDENCE, (),
        id="after the hold the evidence is waited for",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY), PASS, Intent.ADVANCE, Reason.STEP_PASSED, (),
        id="after the hold, Pass means the next step",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY), SILENT, Intent.ADVANCE, Reason.NO_DATA, (),
        id="no traffic yet: hold, do not fail",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY), DOWN, Intent.ADVANCE, Reason.MONITORING_UNAVAILABLE, (),
        id="monitoring that is down neither promotes nor rolls back",
    ),
    pytest.param(
        snapshot(IN_STEP.model_copy(update={"step_started_at": 4100.0}), canary=CANARY),
        DOWN, Intent.ADVANCE, Reason.MONITORING_UNAVAILABLE, (),
        id="past the patience, silence pauses",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY), replace(PASS, stable_unhealthy=True), Intent.ADVANCE,
        Reason.STABLE_UNHEALTHY, (),
        id="stable failing as well is no moment to give the canary more",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY), replace(PASS, not_shifted=True), Intent.ADVANCE,
        Reason.TRAFFIC_NOT_SHIFTED, (),
        id="a share of requests that contradicts the weight holds",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY, spec=spec_with(
            steps=(SPEC.steps[0].model_copy(update={"approval": True}), *SPEC.steps[1:]))),
        PASS, Intent.ADVANCE, Reason.APPROVAL_NEEDED, (),
        id="a step that wants approval waits for it",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY, request=Verb.PROMOTE, spec=spec_with(
            steps=(SPEC.steps[0].model_copy(update={"approval": True}), *SPEC.steps[1:]))),
        PASS, Intent.ADVANCE, Reason.STEP_PASSED, (),
        id="a person's promote approves the step",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY), FAIL, Intent.ROLL_BACK, Reason.WORSE_THAN_STABLE,
        (SetWeight(0),),
        id="Fail takes the traffic away in the same pass",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=Canary("v2", 2, pods(2, trouble=PodFailure.OUT_OF_MEMORY))),
        PASS, Intent.ROLL_BACK, Reason.OUT_OF_MEMORY, (SetWeight(0),),
        id="a pod out of memory is a failure without any metric",
    ),
    pytest.param(
        snapshot(PROMOTING, canary=SELECTED), PASS, Intent.ROLL_BACK, Reason.NOT_ISOLATED,
        (SetWeight(0),),
        id="a Service that selects canary pods ends a release also when they have all traffic",
    ),
    pytest.param(
        snapshot(release_with(PROMOTING, unhold_at=4999.0), canary=SELECTED), PASS,
        Intent.PROMOTE, Reason.ROLLING_TARGET, (ResumeTarget("v2"),),
        id="once the target rolls, its own pods run the version, and it goes on",
    ),
    pytest.param(
        snapshot(release_with(PROMOTING, override=SKIPPED), canary=SELECTED), PASS,
        Intent.PROMOTE, Reason.ROLLING_TARGET, (),
        id="nor does it end what a person releases on purpose",
    ),
    pytest.param(
        snapshot(GOING, template="v2", running="v2", canary=SELECTED), BUSY, Intent.PROMOTE,
        Reason.DRAINING, (DeleteCanary(), UnpinMinReplicas()),
        id="requests by another Service do not keep the canary for ever",
    ),
    pytest.param(
        snapshot(GOING, template="v2", running="v2", canary=replace(SELECTED, selected_by=())),
        BUSY, Intent.PROMOTE, Reason.DRAINING, (),
        id="those of the router do, until the last one is over",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=replace(CANARY, selected_by=("backend",))),
        PASS, Intent.ROLL_BACK, Reason.NOT_ISOLATED, (SetWeight(0),),
        id="a Service that begins to select canary pods ends the release",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=Canary("v2", 2, pods(2, restarts=2))),
        DOWN, Intent.ROLL_BACK, Reason.CRASH_LOOPING, (SetWeight(0),),
        id="crashing pods are a failure while monitoring is down, too",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY, request=Verb.ABORT), PASS, Intent.ROLL_BACK,
        Reason.ABORTED, (SetWeight(0),),
        id="a person's abort rolls back",
    ),
    pytest.param(
        replace(snapshot(IN_STEP, canary=CANARY, request=Verb.ABORT), target=None), PASS,
        Intent.ROLL_BACK, Reason.ABORTED, (SetWeight(0),),
        id="a person's abort rolls back, also while the target is missing",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY, template="v3"), PASS, Intent.ROLL_BACK,
        Reason.TEMPLATE_CHANGED, (SetWeight(0),),
        id="a newer template goes through weight 0",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY, held=False, running=None), PASS, Intent.ROLL_BACK,
        Reason.UNPAUSED_BY_HAND, (SetWeight(0), RestoreTemplate("v1")),
        id="un-pausing by hand takes the weight away and puts the vetted template back",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY, weight=0), PASS, Intent.ADVANCE, Reason.SHIFTING_TRAFFIC,
        (SetWeight(0),),
        id="a weight that somebody took away is put right once, from what is there",
    ),
    pytest.param(
        snapshot(release_with(IN_STEP, rewrites=1), canary=CANARY, weight=40), PASS,
        Intent.ADVANCE, Reason.CONTESTED, (SetWeight(0),),
        id="a weight that is written again and again is held at 0, not fought",
    ),
    pytest.param(
        snapshot(release_with(IN_STEP, started_at=NOW - 1801), canary=CANARY), CONTINUE,
        Intent.ADVANCE, Reason.DEADLINE_EXCEEDED, (),
        id="past its deadline a release pauses",
    ),
    pytest.param(
        snapshot(release_with(IN_STEP, started_at=NOW - 1801), canary=CANARY,
                 spec=spec_with(on_inconclusive=OnInconclusive.ROLL_BACK)), CONTINUE,
        Intent.ROLL_BACK, Reason.DEADLINE_EXCEEDED, (SetWeight(0),),
        id="past its deadline a release rolls back where the user said so",
    ),
    pytest.param(
        snapshot(release_with(IN_STEP, pause=Pause(reason=Reason.INCONCLUSIVE, since=NOW)),
                 canary=CANARY),
        FAIL, Intent.ROLL_BACK, Reason.WORSE_THAN_STABLE, (SetWeight(0),),
        id="a paused release is still protected",
    ),
    pytest.param(
        snapshot(IN_STEP.model_copy(update={"step": 2, "weight": 50}), canary=CANARY),
        replace(PASS, final=Verdict.CONTINUE), Intent.ADVANCE, Reason.GATHERING_EVIDENCE, (),
        id="the last step waits for the evidence that promotion needs",
    ),
    pytest.param(
        snapshot(IN_STEP.model_copy(update={"step": 2, "weight": 50}), canary=CANARY), PASS,
        Intent.PROMOTE, Reason.STEP_PASSED, (),
        id="with that evidence it promotes",
    ),
    pytest.param(
        snapshot(PROMOTING.model_copy(update={"weight": 50}), canary=CANARY), PASS,
        Intent.PROMOTE, Reason.CANARY_NOT_READY, (EnsureCanary("v2", 4),),
        id="the canary gets stable's full size before it carries everything",
    ),
    pytest.param(
        snapshot(release_with(PROMOTING, unhold_at=4999.0), canary=Canary("v2", 4, pods(4))),
        PASS, Intent.PROMOTE, Reason.ROLLING_TARGET, (ResumeTarget("v2"),),
        id="the target rolls once the canary carries everything",
    ),
    pytest.param(
        snapshot(release_with(PROMOTING, unhold_at=4999.0), canary=Canary("v2", 4, pods(4)),
                 held=False, running=None),
        FAIL, Intent.ROLL_BACK, Reason.WORSE_THAN_STABLE, (SetWeight(0),),
        id="a failure while the target rolls takes the traffic back first",
    ),
    pytest.param(
        snapshot(release_with(PROMOTING, unhold_at=4999.0, rolled=True), running="v2",
                 held=False, canary=Canary("v2", 4, pods(4))),
        PASS, Intent.PROMOTE, Reason.RESTORING_ROUTE, (PauseTarget("v2"),),
        id="a target that has rolled is held before anything else is put back",
    ),
    pytest.param(
        snapshot(release_with(PROMOTING, unhold_at=4999.0, rolled=True), running="v2",
                 canary=Canary("v2", 4, pods(4))),
        PASS, Intent.PROMOTE, Reason.RESTORING_ROUTE, (RestoreRoute(),),
        id="then the route is what the user wrote",
    ),
    pytest.param(
        snapshot(release_with(PROMOTING.model_copy(update={"weight": 0}), unhold_at=4999.0,
                              rolled=True), running="v2", canary=Canary("v2", 4, pods(4))),
        replace(PASS, canary_busy=True), Intent.PROMOTE, Reason.DRAINING, (),
        id="the canary's pods stay while requests still reach them",
    ),
    pytest.param(
        snapshot(ROLLING_BACK, weight=5, canary=CANARY), PASS, Intent.ROLL_BACK,
        Reason.CANARY_OUTAGE, (SetWeight(0),),
        id="while rolling back, weight 0 comes before everything",
    ),
    pytest.param(
        snapshot(release_with(ROLLING_BACK, confirmed_at=NOW - 1), weight=0, canary=CANARY), PASS,
        Intent.ROLL_BACK, Reason.CANARY_OUTAGE, (),
        id="no canary pod goes before the route has settled",
    ),
    pytest.param(
        snapshot(ROLLING_BACK, weight=0, canary=CANARY), PASS, Intent.ROLL_BACK,
        Reason.CANARY_OUTAGE, (EnsureCanary("v2", 0),),
        id="then the canary is scaled down",
    ),
    pytest.param(
        snapshot(ROLLING_BACK, weight=0, canary=Canary("v2", 0)), PASS, Intent.ROLL_BACK,
        Reason.CANARY_OUTAGE, (RestoreRoute(),),
        id="then the route forgets the canary",
    ),
    pytest.param(
        snapshot(ROLLING_BACK, canary=Canary("v2", 0)), PASS, Intent.ROLL_BACK,
        Reason.CANARY_OUTAGE, (DeleteCanary(), UnpinMinReplicas()),
        id="then the canary's objects go",
    ),
    pytest.param(
        snapshot(ROLLING_BACK), PASS, Intent.REST, Reason.CANARY_OUTAGE,
        (UnpinMinReplicas(), NoteRejection(Rejection("v2", Reason.CANARY_OUTAGE, NOW))),
        id="then the release is over and says why",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY, deleting_since=NOW), PASS, Intent.ADVANCE, Reason.DELETED,
        (RestoreRoute(),),
        id="deleting the resource puts the route back first",
    ),
    pytest.param(
        snapshot(AT_REST, deleting_since=NOW), PASS, Intent.REST, Reason.DELETED, (RestoreTemplate("v1"),),
        id="an unvetted template goes before the target is un-held",
    ),
    pytest.param(
        snapshot(AT_REST, template="v1", deleting_since=NOW), PASS, Intent.REST, Reason.DELETED,
        (UnpinMinReplicas(), ReleaseTarget(), RemoveFinalizer()),
        id="then the Deployment is the user's again",
    ),
    pytest.param(
        snapshot(IN_STEP, canary=CANARY, deleting_since=NOW - 121), PASS, Intent.ADVANCE,
        Reason.DELETED, (RemoveFinalizer(),),
        id="a deletion never blocks for ever",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("snap", "judged", "intent", "reason", "actions"), ROWS)
def test_decides(
    snap: Snapshot,
    judged: AnalysisResult,
    intent: Intent,
    reason: Reason,
    actions: tuple[object, ...],
) -> None:
    """Each situation has one direction, one reason and one list of actions."""
    plan = decide(snap, judged)
    assert (plan.status.intent, plan.status.reason, plan.actions) == (intent, reason, actions)
    assert plan.status.message


def test_the_same_world_twice_changes_nothing_at_rest() -> None:
    """At rest a second pass has nothing to write and nothing to come back for."""
    first = decide(snapshot(AT_REST, template="v1"), PASS)
    again = decide(snapshot(first.status, template="v1"), PASS)
    assert again.status is not None
    assert (again.status, again.actions, again.requeue_after) == (first.status, (), None)


def test_a_request_is_taken_once() -> None:
    """The same abort does not end the next release as well."""
    taken = decide(snapshot(IN_STEP, canary=CANARY, request=Verb.ABORT), PASS).status
    assert taken.handled_request == "r1"
    later = IN_STEP.model_copy(update={"handled_request": "r1"})
    assert decide(snapshot(later, canary=CANARY, request=Verb.ABORT), PASS).status.intent is (
        Intent.ADVANCE
    )


def test_checks_run_at_weight_zero() -> None:
    """With the canary ready and no traffic yet, the checks are started."""
    spec = load_release(
        RELEASE.replace(
            "  steps:", "  checks: [{name: smoke, webhook: {url: 'http://x'}}]\n  steps:"
        ),
        "tests",
    ).spec
    status = release_with(IN_STEP.model_copy(update={"weight": 0}), confirmed_at=None)
    started = decide(snapshot(status, canary=CANARY, spec=spec), SILENT)
    assert started.actions == (RunChecks("v2"),)
    passed = (CheckStatus(name="smoke", verdict=Verdict.PASS),)
    kept = decide(snapshot(status, canary=CANARY, spec=spec, checks=passed), SILENT)
    assert kept.status.release is not None
    assert kept.status.release.checks == passed
    failed = (CheckStatus(name="smoke", verdict=Verdict.FAIL, message="exit 3"),)
    plan = decide(snapshot(status, canary=CANARY, spec=spec, checks=failed), SILENT)
    assert (plan.status.intent, plan.status.reason) == (Intent.ROLL_BACK, Reason.CHECK_FAILED)
    assert "exit 3" in plan.status.message


@pytest.mark.parametrize(
    ("replicas", "weight", "pods_wanted"),
    [(1, 5, 1), (2, 5, 2), (4, 25, 2), (10, 25, 3), (10, 100, 10)],
)
def test_canary_size(replicas: int, weight: int, pods_wanted: int) -> None:
    """The canary carries its weight of stable's count, rounded up, and two pods where there are two."""
    assert canary_replicas(replicas, weight) == pods_wanted


@pytest.mark.parametrize(
    ("replicas", "weight", "pods_wanted"),
    [
        pytest.param(4, 20, 1, id="1 of 5"),
        pytest.param(4, 40, 3, id="3 of 7"),
        pytest.param(4, 50, 4, id="half of all pods, which was 2 of 6"),
        pytest.param(4, 80, 4, id="no more than stable has"),
        pytest.param(4, 100, 4, id="as many as stable"),
        pytest.param(100, 1, 1, id="1 of 101"),
        pytest.param(3, 1, 1, id="never none"),
        pytest.param(0, 5, 0, id="nothing beside nothing"),
    ],
)
def test_canary_size_without_a_router(replicas: int, weight: int, pods_wanted: int) -> None:
    """The number of pods is the weight: the canary's share of all pods, not of stable's."""
    assert pods_for_share(replicas, weight) == pods_wanted


@given(st.integers(1, 200), st.integers(1, 100))
def test_no_other_number_of_pods_is_nearer_to_the_weight(replicas: int, weight: int) -> None:
    """With all of stable's pods there, and no more canary pods than those."""

    def off(pods: int) -> float:
        return abs(100 * pods / (pods + replicas) - weight)

    wanted = pods_for_share(replicas, weight)
    assert 1 <= wanted <= replicas
    assert off(wanted) <= min(off(pods) for pods in range(1, replicas + 1)) + 1e-9


def test_a_release_without_a_router_starts_with_the_pods_of_its_share() -> None:
    """Half of the work beside four stable pods takes four canary pods."""
    step = SPEC.steps[0].model_copy(update={"weight": 50})
    spec = spec_with(traffic=TrafficSpec(replicas=ReplicaShare()), steps=(step,))
    status = IN_STEP.model_copy(update={"weight": 0, "step": 0})
    plan = decide(snapshot(status, canary=CANARY, spec=spec), SILENT)
    assert EnsureCanary("v2", 4) in plan.actions


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        (Status(), Phase.PENDING),
        (AT_REST, Phase.READY),
        (IN_STEP, Phase.PROGRESSING),
        (PROMOTING, Phase.PROMOTING),
        (ROLLING_BACK, Phase.ROLLING_BACK),
    ],
)
def test_phase_is_read_off_the_status(status: Status, phase: Phase) -> None:
    """The phase is for people and follows from the status."""
    assert phase_of(status) is phase


def test_never_ready_names_the_cause_and_what_to_do() -> None:
    """The API server's words, and that the same template can be tried again (c13)."""
    waiting = release_with(IN_STEP.model_copy(update={"weight": 0}), scaling_since=4000.0)
    plan = decide(snapshot(waiting, canary=NO_IMAGE), SILENT)
    assert plan.status.reason is Reason.NEVER_READY
    assert plan.status.message.endswith(
        "ErrImagePull: x:1. Once it can be pulled: canary retry auth."
    )


@pytest.mark.parametrize("intent", [Intent.ADVANCE, Intent.PROMOTE])
def test_pods_that_do_not_come_up_are_explained_while_they_are_waited_for(intent: Intent) -> None:
    """Nobody should have to wait for the progress deadline to read the quota's words (c01)."""
    waiting = IN_STEP.model_copy(update={"weight": 0, "intent": intent})
    canary = Canary("v2", 4, (*pods(2), *pods(2, ready=False)), "FailedCreate: exceeded quota.")
    plan = decide(snapshot(release_with(waiting, confirmed_at=None), canary=canary), SILENT)
    expected = "2 of 4 canary pods are ready. FailedCreate: exceeded quota."
    assert plan.status.message == expected


def test_a_roll_that_failed_stays_rolled_back_until_somebody_acts() -> None:
    """The vetted version is there because we put it back, so nobody has seen to the failure yet."""
    entry = REJECTED.model_copy(update={"reason": Reason.ROLL_FAILED, "put_back": True})
    failed = AT_REST.model_copy(
        update={"reason": Reason.ROLL_FAILED, "rejected_hash": "v2", "history": (entry,)}
    )
    plan = decide(snapshot(failed, template="v1"), SILENT)
    assert (plan.status.reason, plan.status.phase) == (Reason.ROLL_FAILED, Phase.ROLLED_BACK)


@pytest.mark.parametrize("reason", [Reason.TARGET_NOT_FOUND, Reason.SERVICE_NOT_FOUND])
def test_a_roll_that_failed_is_still_said_after_an_obstacle(reason: Reason) -> None:
    """What was in the way for a moment is not somebody who acted."""
    entry = REJECTED.model_copy(update={"reason": Reason.ROLL_FAILED, "put_back": True})
    passing = AT_REST.model_copy(
        update={"reason": reason, "rejected_hash": "v2", "history": (entry,)}
    )
    plan = decide(snapshot(passing, template="v1"), SILENT)
    assert (plan.status.reason, plan.status.phase) == (Reason.ROLL_FAILED, Phase.ROLLED_BACK)


def lost(
    status: Status,
    *,
    ready: bool,
    canary: Canary | None = None,
    held: bool = False,
) -> Snapshot:
    """The Deployment was replaced: it rolls another template, and nothing keeps the stable one."""
    template = "v2" if held else "v3"
    snap = snapshot(status, template=template, running=None, held=held, canary=canary)
    assert snap.target is not None
    pods = tuple(replace(pod, ready=ready) for pod in snap.target.pods)
    return replace(snap, target=replace(snap.target, pods=pods, stable_lost=True))


def test_a_lost_stable_version_is_said_with_what_to_apply() -> None:
    """Nothing is written to a Deployment that only Kubernetes can roll now."""
    plan = decide(lost(AT_REST, ready=False), SILENT)
    assert (plan.actions, plan.status.reason) == ((), Reason.STABLE_LOST)
    assert "Apply the manifests" in plan.status.message
    assert plan.requeue_after is not None


def test_a_release_whose_stable_version_is_lost_ends() -> None:
    """Weight 0, and no attempt to put back what nobody has."""
    plan = decide(lost(IN_STEP, ready=True, canary=CANARY), PASS)
    assert (plan.actions, plan.status.reason) == ((SetWeight(0),), Reason.STABLE_LOST)
    rolling = plan.status
    again = decide(lost(rolling, ready=True), SILENT)
    assert not {type(action) for action in again.actions} & {RestoreTemplate, PauseTarget}


@pytest.mark.parametrize(
    ("status", "canary"), [(IN_STEP, CANARY), (AT_REST, None)], ids=["in flight", "at rest"]
)
def test_a_held_target_without_its_replica_set_asks_for_what_is_to_run(
    status: Status, canary: Canary | None
) -> None:
    """Somebody deleted it: no pod can come, and both ways out are named."""
    plan = decide(lost(status, ready=False, canary=canary, held=True), PASS)
    assert (plan.actions, plan.status.reason) == ((), Reason.STABLE_LOST)
    assert "Apply the manifests of the stable version" in plan.status.message
    assert "canary promote auth --skip-analysis" in plan.status.message
    assert plan.status.weight == status.weight


@pytest.mark.parametrize(
    ("status", "canary"), [(IN_STEP, CANARY), (AT_REST, None)], ids=["in flight", "at rest"]
)
def test_the_new_version_takes_over_where_a_person_says_so(
    status: Status, canary: Canary | None
) -> None:
    """Without stable pods there is nothing to compare with."""
    snap = lost(status, ready=False, canary=canary, held=True)
    asked = ReleaseRequest(
        Verb.PROMOTE, "r1", skip=Skip.ANALYSIS, reason="stable is gone", by="ada"
    )
    plan = decide(replace(snap, resource=replace(snap.resource, request=asked)), SILENT)
    assert (plan.status.intent, plan.status.reason) == (Intent.PROMOTE, Reason.ANALYSIS_SKIPPED)


def test_a_canary_serves_until_the_stable_pods_are_back() -> None:
    """Its manifests were applied again: its pods come, and nothing takes the traffic meanwhile."""
    snap = lost(IN_STEP, ready=False, canary=CANARY)
    assert snap.target is not None
    back = replace(snap.target, template="v1", stable_lost=False)
    plan = decide(replace(snap, target=back), PASS)
    assert (plan.actions, plan.status.weight) == ((RestoreTemplate("v1"),), IN_STEP.weight)
    ready = tuple(replace(pod, ready=True) for pod in back.pods)
    plan = decide(replace(snap, target=replace(back, pods=ready)), PASS)
    assert plan.actions[0] == SetWeight(0)


def test_a_canary_keeps_its_weight_while_nothing_else_serves() -> None:
    """The Deployment was replaced and none of its pods is ready yet."""
    plan = decide(lost(IN_STEP, ready=False, canary=CANARY), PASS)
    assert (plan.actions, plan.status.reason) == ((), Reason.STABLE_LOST)
    assert plan.status.weight == IN_STEP.weight


@pytest.mark.parametrize(
    ("paused", "there", "actions"),
    [
        pytest.param(
            False, True, (RemoveFinalizer(),), id="nothing to put back, so nothing to wait for"
        ),
        pytest.param(True, False, (PauseTarget("v1"),), id="a paused target has to be let go"),
        pytest.param(False, False, (), id="none is needed"),
        pytest.param(True, True, (), id="one is there"),
    ],
)
def test_no_finalizer_without_something_to_put_back(
    *, paused: bool, there: bool, actions: tuple[object, ...]
) -> None:
    """So a namespace or an operator that is deleted never hangs."""
    snap = snapshot(AT_REST, template="v1")
    assert snap.target is not None
    snap = replace(
        snap,
        target=replace(snap.target, paused=paused),
        resource=replace(snap.resource, finalizer=there),
    )
    plan = decide(snap, SILENT)
    assert (plan.actions, plan.status.reason) == (actions, Reason.AT_REST)


def test_a_write_that_was_refused_is_not_said_any_longer_than_it_is_so() -> None:
    """At rest the message of the last refusal would stay for ever."""
    said = {"reason": Reason.ADOPTED, "message": "Refused, retrying: no answer"}
    plan = decide(snapshot(AT_REST.model_copy(update=said), template="v1"), SILENT)
    assert plan.status.message == Reason.ADOPTED.info.sentence


def test_the_step_that_people_see() -> None:
    """Counted from one, while a release goes through its steps; empty before and after."""
    assert decide(snapshot(IN_STEP), CONTINUE).status.current_step == "1/3"
    assert decide(snapshot(AT_REST, template="v1"), SILENT).status.current_step == ""
