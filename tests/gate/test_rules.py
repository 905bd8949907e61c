"""Where the release that a pipeline waits for stands, case by case."""

from dataclasses import replace

import pytest

from canary.api import (
    HistoryEntry,
    Intent,
    Pause,
    Phase,
    Reason,
    Release,
    Result,
    Status,
    load_release,
)
from canary.core.snapshot import ReleaseRequest, ReleaseResource, Verb
from canary.errors import ExitCode
from canary.gate.rules import GRACE_SECONDS, evaluate_rules, time_out
from canary.gate.tracking import (
    FinishedState,
    GateOptions,
    Observation,
    PendingState,
    TrackedRelease,
    select_template,
    start_tracking,
)
from tests.kube.fixtures_release import RELEASE

OLD, NEW, OTHER = "old000000000", "new000000000", "other0000000"
SPEC = load_release(RELEASE, "test").spec
FRESH = TrackedRelease(NEW, frozenset({50.0}), fresh=True)
"""The pipeline applied NEW; a release that ended at 50 was history then."""


def status(**changes) -> Status:
    """At rest with the old version, unless changed."""
    plain = Status(stable_hash=OLD, reason=Reason.AT_REST, phase=Phase.READY, observed_generation=1)
    return plain.model_copy(update=changes)


def flight(template=NEW, intent=Intent.ADVANCE, reason=Reason.HOLDING, **more) -> Status:
    """A release on its way."""
    release = Release(template=template, started_at=60.0, replicas=4, **more)
    return status(intent=intent, release=release, reason=reason, weight=5, phase=Phase.PROGRESSING)


def paused(reason: Reason) -> Status:
    """A release that waits for a person."""
    return flight(pause=Pause(reason=reason, since=61.0), reason=reason)


def past(result: Result, reason: Reason, at: float = 70.0, template=NEW) -> HistoryEntry:
    """How a release ended."""
    return HistoryEntry(
        template=template, result=result, reason=reason, started_at=at - 5, ended_at=at
    )


PROMOTED = past(Result.PROMOTED, Reason.PROMOTED)
REVERTED = past(Result.PROMOTED, Reason.RETURNED_TO_STABLE).model_copy(
    update={"message": "Template new was stable until 5 min ago: no steps needed."}
)
LEAKED = past(Result.ROLLED_BACK, Reason.CONNECTION_LEAK)
OLD_NEWS = past(Result.ROLLED_BACK, Reason.CONNECTION_LEAK, at=50.0)
REPLACED = past(Result.SUPERSEDED, Reason.TEMPLATE_CHANGED)


def sight(found: Status, template: str | None = NEW, **more) -> Observation:
    """What the API server says; `spec`, `deleting_since` and `request` go to the resource."""
    parts = {one: more.pop(one) for one in ("spec", "deleting_since", "request") if one in more}
    resource = ReleaseResource("auth", "prod", 1, SPEC, found, "1")
    return Observation(replace(resource, **parts), template, **more)


BAKING = flight(intent=Intent.BAKE, reason=Reason.BAKING)
SUSPENDED = SPEC.model_copy(update={"suspend": True})
RETRY = ReleaseRequest(Verb.RETRY, "r1")
APPROVE = ReleaseRequest(Verb.PROMOTE, "r1")
RESUME = ReleaseRequest(Verb.RESUME, "r1")

WAITING = [
    pytest.param(
        sight(status()),
        "the operator has not started this release yet",
        id="just applied: the operator has not seen it",
    ),
    pytest.param(
        sight(status(history=(OLD_NEWS,), reason=Reason.CONNECTION_LEAK, rejected_hash=OTHER)),
        "the operator has not started this release yet",
        id="the last release failed, but it was of another template",
    ),
    pytest.param(
        sight(status(history=(OLD_NEWS,))),
        "the operator has not started this release yet",
        id="this very template failed before the gate began, and is tried again",
    ),
    pytest.param(
        sight(flight(OTHER)),
        "waiting for the end of the previous release (other0000000)",
        id="an older release is still in flight",
    ),
    pytest.param(
        sight(flight(OTHER, Intent.ROLL_BACK)),
        "waiting for the end of the previous release (other0000000)",
        id="an older release is being taken back",
    ),
    pytest.param(
        sight(flight()), "Progressing at 5 %, step 1 of 1: Holding", id="the release is on its way"
    ),
    pytest.param(
        sight(flight(), template=OTHER),
        "Progressing at 5 %, step 1 of 1: Holding",
        id="another template was applied and the operator has not seen it",
    ),
    pytest.param(
        sight(flight(intent=Intent.PROMOTE, reason=Reason.ROLLING_TARGET)),
        "Progressing at 5 %: RollingTarget",
        id="it is being promoted",
    ),
    pytest.param(
        sight(flight(intent=Intent.ROLL_BACK, reason=Reason.CONNECTION_LEAK)),
        "Progressing at 5 %: ConnectionLeak",
        id="it is being rolled back: the end is near",
    ),
    pytest.param(
        sight(flight(reason=Reason.ROUTE_NOT_FOUND), quiet=999.0),
        "Progressing at 5 %, step 1 of 1: RouteNotFound",
        id="an obstacle on the way may be put right",
    ),
    pytest.param(
        sight(flight(reason=Reason.APPROVAL_NEEDED), request=APPROVE),
        "Progressing at 5 %, step 1 of 1: ApprovalNeeded",
        id="it was approved and the operator has not seen that",
    ),
    pytest.param(
        sight(paused(Reason.PAUSED_BY_PERSON), request=RESUME),
        "Progressing at 5 %, step 1 of 1: PausedByPerson",
        id="it was resumed and the operator has not seen that",
    ),
    pytest.param(
        sight(status(rejected_hash=NEW, history=(OLD_NEWS,)), request=RETRY),
        "a command waits for the operator",
        id="a retry was asked for and the operator has not seen that",
    ),
    pytest.param(
        sight(status(stable_hash=None, reason=Reason.TARGET_NOT_STABLE)),
        "not managed yet: TargetNotStable",
        id="the very first deployment still rolls",
    ),
    pytest.param(
        sight(status(reason=Reason.ROUTE_NOT_FOUND), quiet=GRACE_SECONDS - 1),
        "the operator has not started this release yet: RouteNotFound",
        id="the route may be applied next",
    ),
    pytest.param(
        sight(status(reason=Reason.INVALID_SPEC, observed_generation=0), quiet=999.0),
        "the operator has not started this release yet: InvalidSpec",
        id="what was wrong may have been put right in the same apply",
    ),
    pytest.param(
        sight(status(history=(REPLACED,))),
        "the operator has not started this release yet",
        id="superseded, and then wanted again",
    ),
]
ENDED = [
    pytest.param(
        sight(status(stable_hash=NEW, reason=Reason.PROMOTED, history=(PROMOTED,))),
        (ExitCode.OK, "promoted", Reason.PROMOTED),
        id="promoted",
    ),
    pytest.param(
        sight(status(stable_hash=NEW, reason=Reason.RETURNED_TO_STABLE, history=(REVERTED,))),
        (ExitCode.OK, "promoted: Template new was stable until", Reason.RETURNED_TO_STABLE),
        id="a revert within the rollback window, which needs no steps",
    ),
    pytest.param(
        sight(BAKING),
        (ExitCode.OK, "promoted; the bake continues", Reason.PROMOTED),
        id="promoted, and baking",
    ),
    pytest.param(
        sight(status(stable_hash=NEW)),
        (ExitCode.OK, "runs everywhere already: nothing to release", Reason.AT_REST),
        id="nothing changed",
    ),
    pytest.param(
        sight(status(stable_hash=NEW, history=(LEAKED, PROMOTED))),
        (ExitCode.FAILED, "rolled back: ConnectionLeak", Reason.CONNECTION_LEAK),
        id="promoted and then rolled back while it baked",
    ),
    pytest.param(
        sight(status(rejected_hash=NEW, reason=Reason.CONNECTION_LEAK, history=(LEAKED,))),
        (ExitCode.FAILED, "rolled back: ConnectionLeak", Reason.CONNECTION_LEAK),
        id="rolled back",
    ),
    pytest.param(
        sight(status(history=(past(Result.ROLLED_BACK, Reason.ABORTED),))),
        (ExitCode.FAILED, "rolled back: Aborted", Reason.ABORTED),
        id="aborted by a person",
    ),
    pytest.param(
        sight(status(rejected_hash=NEW, history=(OLD_NEWS,))),
        (
            ExitCode.FAILED,
            "this template was rolled back before: ConnectionLeak",
            Reason.CONNECTION_LEAK,
        ),
        id="applied again unchanged after it was rolled back",
    ),
    pytest.param(
        sight(status(rejected_hash=NEW)),
        (ExitCode.FAILED, "this template was rolled back before", Reason.REJECTED),
        id="rolled back so long ago that nobody knows why",
    ),
    pytest.param(
        sight(status(history=(REPLACED,)), template=OTHER),
        (ExitCode.INCONCLUSIVE, "superseded by another template", Reason.TEMPLATE_CHANGED),
        id="superseded in flight",
    ),
    pytest.param(
        sight(status(), template=OTHER),
        (ExitCode.INCONCLUSIVE, "superseded: the Deployment has", Reason.TEMPLATE_CHANGED),
        id="superseded before it began",
    ),
    pytest.param(
        sight(status(reason=Reason.UNPAUSED_BY_HAND), template=OLD),
        (ExitCode.FAILED, "template restored: UnpausedByHand", Reason.UNPAUSED_BY_HAND),
        id="it began to roll by hand and was put back",
    ),
    pytest.param(
        sight(status(stable_hash=NEW, reason=Reason.ROLLED_OUT_WITHOUT_CANARY)),
        (ExitCode.INCONCLUSIVE, "rolled out without canary", Reason.ROLLED_OUT_WITHOUT_CANARY),
        id="it went out past us",
    ),
    pytest.param(
        sight(flight(reason=Reason.APPROVAL_NEEDED)),
        (ExitCode.PAUSED, "waits for approval at 5 %", Reason.APPROVAL_NEEDED),
        id="it waits for approval",
    ),
    pytest.param(
        sight(status(), spec=SUSPENDED),
        (ExitCode.PAUSED, "is suspended at 0 %", Reason.SUSPENDED),
        id="releases are suspended",
    ),
    pytest.param(
        sight(status(reason=Reason.TARGET_SCALED_TO_ZERO), quiet=GRACE_SECONDS),
        (ExitCode.INCONCLUSIVE, "cannot be analyzed", Reason.TARGET_SCALED_TO_ZERO),
        id="there are no replicas, so there is no traffic to judge",
    ),
    pytest.param(
        sight(status(), template=None),
        (ExitCode.NOT_FOUND, "Deployment auth does not exist", Reason.TARGET_NOT_FOUND),
        id="there is no Deployment",
    ),
    pytest.param(
        sight(flight(), deleting_since=65.0),
        (ExitCode.NOT_FOUND, "the CanaryRelease is being deleted", Reason.DELETED),
        id="the CanaryRelease is being deleted",
    ),
    *(
        pytest.param(
            sight(paused(reason)),
            (ExitCode.INCONCLUSIVE, f"is paused at 5 %: {reason}", reason),
            id=f"paused, as nobody could tell: {reason}",
        )
        for reason in sorted(one for one in Reason if one.info.inconclusive)
    ),
    *(
        pytest.param(
            sight(paused(reason)),
            (ExitCode.PAUSED, f"is paused at 5 %: {reason}", reason),
            id=f"paused: {reason}",
        )
        for reason in (Reason.PAUSED_BY_PERSON, Reason.CONTESTED)
    ),
    *(
        pytest.param(
            sight(status(reason=reason), quiet=GRACE_SECONDS),
            (ExitCode.ERROR, f"cannot start: {reason}", reason),
            id=f"only a person can do something about it: {reason}",
        )
        for reason in sorted(one for one in Reason if one.info.stalls)
    ),
]


@pytest.mark.parametrize(("seen", "sentence"), WAITING)
def test_go_on_waiting(seen, sentence):
    """Nothing about this template is decided."""
    found = evaluate_rules(seen, FRESH, GateOptions())
    assert isinstance(found, PendingState), found
    assert found.sentence == sentence


@pytest.mark.parametrize(("seen", "expected"), ENDED)
def test_the_wait_is_over(seen, expected):
    """The exit code, the reason and the sentence of each end."""
    found = evaluate_rules(seen, FRESH, GateOptions())
    code, sentence, reason = expected
    assert isinstance(found, FinishedState), found
    assert (found.code, found.reason) == (code, reason)
    assert found.headline.startswith(sentence)


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        pytest.param(paused(Reason.NO_DATA), "is paused at 5 %: NoData", id="no data"),
        pytest.param(
            flight(reason=Reason.APPROVAL_NEEDED),
            "waits for approval at 5 %: ApprovalNeeded",
            id="approval",
        ),
    ],
)
def test_a_pause_can_be_waited_for(seen, sentence):
    """--pause-ok: somebody is going to resume it."""
    found = evaluate_rules(sight(seen), FRESH, GateOptions(pause_ok=True))
    assert isinstance(found, PendingState)
    assert found.sentence == sentence


def test_a_suspension_can_be_waited_for():
    """--pause-ok holds for a suspended release as well."""
    seen = sight(status(), spec=SUSPENDED)
    assert isinstance(evaluate_rules(seen, FRESH, GateOptions(pause_ok=True)), PendingState)


def test_the_bake_can_be_waited_for():
    """--bake: promoted is not the end; rolled back in the bake is a failure, passed is not."""
    ask = GateOptions(bake=True)
    assert isinstance(evaluate_rules(sight(BAKING), FRESH, ask), PendingState)
    back = flight(intent=Intent.ROLL_BACK).model_copy(update={"history": (PROMOTED,)})
    assert isinstance(evaluate_rules(sight(back), FRESH, ask), PendingState)
    failed = status(rejected_hash=NEW, history=(LEAKED, PROMOTED))
    assert evaluate_rules(sight(failed), FRESH, ask).code is ExitCode.FAILED
    passed = status(stable_hash=NEW, history=(PROMOTED,))
    assert evaluate_rules(sight(passed), FRESH, ask).code is ExitCode.OK


def test_the_way_back_to_stable_takes_the_other_release_away_first():
    """Reverting in mid-release is done when the canary has no traffic any more."""
    quest = TrackedRelease(OLD, fresh=False)
    assert isinstance(evaluate_rules(sight(flight(OTHER), OLD), quest, GateOptions()), PendingState)
    assert evaluate_rules(sight(status(), OLD), quest, GateOptions()).code is ExitCode.OK


def test_what_went_out_without_canary_long_ago_is_no_fault_of_this_pipeline():
    """It was stable when the gate began: nothing to release, and it is said."""
    seen = sight(status(stable_hash=NEW, reason=Reason.ROLLED_OUT_WITHOUT_CANARY))
    found = evaluate_rules(seen, TrackedRelease(NEW), GateOptions())
    assert found.code is ExitCode.OK
    assert "without canary" in found.headline


CHOICES = [
    pytest.param(sight(status()), GateOptions(), NEW, id="the template that is wanted now"),
    pytest.param(sight(status(stable_hash=NEW)), GateOptions(), NEW, id="the stable one as well"),
    pytest.param(
        sight(status(stable_hash=NEW)), GateOptions(next=True), None, id="next: not the stable one"
    ),
    pytest.param(
        sight(status(rejected_hash=NEW)),
        GateOptions(next=True),
        None,
        id="next: not the rejected one",
    ),
    pytest.param(
        sight(status(rejected_hash=NEW), request=RETRY),
        GateOptions(next=True),
        NEW,
        id="next: the rejected one once it is retried",
    ),
    pytest.param(sight(flight()), GateOptions(next=True), NEW, id="next: the one in flight"),
    pytest.param(sight(status()), GateOptions(next=True), NEW, id="next: the one not taken up yet"),
    pytest.param(
        sight(status(), images=frozenset({"auth:1"})),
        GateOptions(image="auth:2"),
        None,
        id="image: not before it is wanted",
    ),
    pytest.param(
        sight(status(), images=frozenset({"auth:2"})),
        GateOptions(image="auth:2"),
        NEW,
        id="image: then",
    ),
]


@pytest.mark.parametrize(("seen", "ask", "template"), CHOICES)
def test_which_release_is_waited_for(seen, ask, template):
    """One template is chosen, once; until then the gate waits."""
    quest = select_template(start_tracking(seen), seen, ask)
    assert quest.template == template
    assert template is not None or isinstance(evaluate_rules(seen, quest, ask), PendingState)
    later = select_template(quest, replace(seen, template=OTHER), GateOptions())
    assert later.template == (template or OTHER)


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        pytest.param(status(), ExitCode.TIMED_OUT, id="not taken up"),
        pytest.param(flight(), ExitCode.TIMED_OUT, id="on its way"),
        pytest.param(
            flight(intent=Intent.ROLL_BACK, failed=Reason.CANARY_OUTAGE),
            ExitCode.FAILED,
            id="on its way back",
        ),
        pytest.param(
            flight(intent=Intent.ROLL_BACK, failed=Reason.TEMPLATE_CHANGED),
            ExitCode.TIMED_OUT,
            id="on its way back for a newer template",
        ),
    ],
)
def test_the_time_is_up(seen, code):
    """A release that is being rolled back has failed, however long that takes."""
    found = time_out(sight(seen), FRESH, GateOptions(), "30m")
    assert found.code is code
