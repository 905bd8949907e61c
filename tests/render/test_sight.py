"""What is read off a release: time left, limits, ages, intervals, where to look."""

from typing import Any

import pytest

from canary.api import Reason, Status
from canary.core.next_step import describe_next_step
from canary.core.snapshot import Verb
from canary.kube.releases import parse_release
from canary.render.allowed_commands import describe_effect
from canary.render.deadlines import list_deadlines
from canary.render.explain import (
    CanaryPod,
    Diagnostics,
    list_commands,
    suggest_commands,
)
from canary.render.release_table import column_names, release_row
from canary.render.release_view import ReleaseView, find_bad_conditions, min_seconds_left
from canary.text.format import format_age
from tests.cli.releases import ENDED, IN_FLIGHT, NOW, REST, SITUATIONS, build_release


def sight(situation: str, **changes: object) -> ReleaseView:
    """The release in this situation, with other fields of its status."""
    found = parse_release(build_release(situation))
    status = Status.model_validate(found.status.model_dump() | changes)
    return ReleaseView("prod", "auth", found.spec, status, NOW)


LEFT = [
    pytest.param("progressing", 900.0 + 600, id="the rest of the minimum, when the holds are shorter, and the bake"),
    pytest.param("preparing", 900.0 + 600, id="before traffic as well"),
    pytest.param("baking", 500.0, id="the rest of the bake"),
    pytest.param("paused", None, id="a person decides"),
    pytest.param("approval", None, id="a person approves"),
    pytest.param("promoting", None, id="the target rolls at its own pace"),
    pytest.param("ready", None, id="nothing is under way"),
]  # fmt: skip


@pytest.mark.parametrize(("situation", "left"), LEFT)
def test_least_time_left(situation: str, left: float | None) -> None:
    """Seconds until it can have ended; None where somebody else decides."""
    assert min_seconds_left(sight(situation)) == left


def test_status_notes_that_an_autoscalers_owner_may_take_pods_from_stable() -> None:
    """The condition's own words, in the terminal."""
    condition = {"type": "CapacityKept", "status": "False", "reason": "Holding"}
    said = condition | {"message": "ScaledObject auth owns the autoscaler."}
    status = sight("progressing", conditions=[said]).status
    assert [one.message for one in find_bad_conditions(status)] == [
        "ScaledObject auth owns the autoscaler."
    ]


def test_holds_that_are_longer_than_the_minimum() -> None:
    """What is left of this hold, and all that follow."""
    found = sight("progressing")
    analysis = found.spec.analysis.model_copy(update={"min_duration": 0.0})
    spec = found.spec.model_copy(update={"analysis": analysis})
    assert min_seconds_left(ReleaseView("prod", "auth", spec, found.status, NOW)) == 205 + 300 + 600


LIMITS = [
    pytest.param(sight("progressing"), [(6800.0, "the release pauses (DeadlineExceeded)")], id="the deadline"),
    pytest.param(sight("progressing", reason=Reason.HOLDING), [(205.0, "the step's duration is over"), (6800.0, "the release pauses (DeadlineExceeded)")], id="the hold, then the deadline"),
    pytest.param(sight("progressing", reason=Reason.NO_DATA), [(505.0, "the release pauses (NoData)"), (6800.0, "the release pauses (DeadlineExceeded)")], id="the patience with silent metrics"),
    pytest.param(sight("preparing", release=parse_release(build_release("preparing")).status.release.model_copy(update={"scaling_since": NOW - 100}).model_dump()), [(500.0, "the release is rolled back (NeverReady)"), (6800.0, "the release pauses (DeadlineExceeded)")], id="pods that do not become ready"),
    pytest.param(sight("promoting", release=parse_release(build_release("promoting")).status.release.model_copy(update={"unhold_at": NOW - 100}).model_dump()), [(500.0, "the release is rolled back (RollFailed)")], id="a target that does not roll"),
    pytest.param(sight("baking"), [(500.0, "the release has ended")], id="the bake"),
    pytest.param(sight("paused"), [], id="a person is waited for as long as it takes"),
    pytest.param(sight("ready"), [], id="nothing is under way"),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "wanted"), LIMITS)
def test_limits(seen: ReleaseView, wanted: list[tuple[float, str]]) -> None:
    """What happens by itself, the next first."""
    assert [(one.at - NOW, one.then) for one in list_deadlines(seen)] == wanted


LOOKS = [
    pytest.param(Reason.NEVER_READY, "kubectl describe pods -n prod -l canary-controller.dev/role=canary", id="pods that are not ready"),
    pytest.param(Reason.CRASH_LOOPING, "kubectl logs -n prod auth-canary-1 --previous", id="a crash"),
    pytest.param(Reason.CHECK_FAILED, "kubectl get jobs -n prod -l canary-controller.dev/check", id="a check"),
    pytest.param(Reason.ROLL_FAILED, "kubectl describe deployment auth -n prod", id="the target"),
    pytest.param(Reason.TARGET_NOT_FOUND, "kubectl get deployments -n prod", id="a target that is not there"),
    pytest.param(Reason.CONTESTED, "kubectl get traefikservice/auth -n prod -o yaml", id="the route"),
    pytest.param(Reason.MONITORING_UNAVAILABLE, "canary doctor", id="the monitoring"),
    pytest.param(Reason.SUSPENDED, "kubectl patch canaryrelease auth -n prod --type=merge -p '{\"spec\":{\"suspend\":false}}'", id="a suspended release"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "command"), LOOKS)
def test_where_to_look(reason: Reason, command: str) -> None:
    """A command to paste for what only a person can find out."""
    found = [
        one for one, _ in suggest_commands(sight("progressing", reason=reason), ["auth-canary-1"])
    ]
    assert found == [command]


@pytest.mark.parametrize("reason", [Reason.NEVER_READY, Reason.CRASH_LOOPING, Reason.OUT_OF_MEMORY])
def test_no_hint_points_at_pods_that_are_gone(reason: Reason) -> None:
    """After a rollback only Events are left of them."""
    entry = {**ENDED, "reason": reason}
    seen = sight("rolled back", reason=reason, history=[entry])
    names = seen.failed.canary_pods if seen.failed else ()
    gone = Diagnostics(pods=tuple(CanaryPod(name, "gone", gone=True) for name in names))
    found = [command for command, _ in list_commands(seen, gone)]
    assert names
    assert not [one for one in found if "logs" in one or "describe pods" in one]


AT_LAST_STEP = {"step": 2, "weight": 50, "stepStartedAt": NOW - 295}
NEXT = [
    pytest.param({"reason": "Holding"}, "gives it 50 % in 3 min 25 s, if the evidence allows it by then", id="the next weight"),
    pytest.param({"reason": "RouteNotAccepted"}, "keeps the canary without traffic until the router accepts the route", id="a route that is refused"),
    pytest.param({"reason": "ApiRefused"}, "continues once that is fixed", id="a write that is refused"),
    pytest.param({**AT_LAST_STEP, "reason": "Holding"}, "waits for approval in 5 s, if the evidence allows it by then", id="an approval"),
    pytest.param({**AT_LAST_STEP, "reason": "Holding", "release": {**IN_FLIGHT, "approvedStep": 2}}, "promotes in 15 min, if the evidence allows it by then", id="a promotion waits for the minimum duration"),
    pytest.param({"reason": "Holding", "release": {**IN_FLIGHT, "startedAt": NOW - 7100}}, "reaches its deadline in 1 min 40 s, before anything else can happen", id="a deadline comes first"),
    pytest.param({"reason": "Holding", "release": {**IN_FLIGHT, "override": {"skip": "Steps", "reason": "x", "at": NOW}}}, "promotes in 15 min, if the evidence allows it by then", id="steps that are skipped"),
    pytest.param({"reason": "ReplacingUnhealthyStable"}, "promotes in short steps, while it is better than stable", id="stable is broken"),
    pytest.param({**REST, "reason": "TargetTaken", "intent": "Rest", "release": None}, "starts no release until that is fixed", id="an obstacle"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), NEXT)
def test_only_what_can_come_next_is_announced(changes: dict[str, Any], words: str) -> None:
    """No step, and no promotion, that something else comes before."""
    found = parse_release(
        {**build_release("progressing"), "status": {**SITUATIONS["progressing"], **changes}}
    )
    assert describe_next_step(found.spec, found.status, NOW) == words


@pytest.mark.parametrize("verb", [Verb.RESUME, Verb.PROMOTE])
def test_a_resume_names_the_weight_it_goes_to(verb: Verb) -> None:
    """A pause may have taken the traffic away."""
    seen = sight("paused", weight=0)
    assert "25 %, now 0 %" in describe_effect(verb, seen.spec, seen.status)


AGES = [
    pytest.param(-5, "0s", id="a clock that is ahead"),
    pytest.param(119, "119s", id="seconds"),
    pytest.param(192, "3m12s", id="minutes and seconds"),
    pytest.param(180, "3m", id="round minutes"),
    pytest.param(5400, "90m", id="minutes"),
    pytest.param(5 * 3600 + 240, "5h4m", id="hours and minutes"),
    pytest.param(30 * 3600, "30h", id="hours"),
    pytest.param(3 * 86400 + 7200, "3d2h", id="days and hours"),
    pytest.param(12 * 86400, "12d", id="days"),
]


@pytest.mark.parametrize(("seconds", "text"), AGES)
def test_ages(seconds: float, text: str) -> None:
    """As kubectl writes them."""
    assert format_age(seconds) == text


def test_a_release_that_the_operator_has_not_seen() -> None:
    """Without a status it is pending; a row has as many cells as there are heads."""
    bare = {"metadata": {"name": "new", "creationTimestamp": "2027-01-15T08:00:00Z"}, "spec": {}}
    cells = release_row(bare, NOW, wide=True, namespaces=True)
    assert cells == ["-", "new", "Pending", "-", "0%", "-", "-", "0s", "-", "-", "-", "-"]
    assert len(cells) == len(column_names(wide=True, namespaces=True))


def test_what_others_wrote_cannot_steer_a_terminal() -> None:
    """Messages come from the cluster; escape sequences are shown, never obeyed."""
    found = build_release("ready")
    found["status"] = {**SITUATIONS["ready"], "message": "\x1b[2Jgone\nnext"}
    assert release_row(found | {"metadata": found["metadata"] | {"creationTimestamp": "2027-01-15T08:00:00Z"}}, NOW, wide=True, namespaces=False)[-1] == "�[2Jgone next"  # fmt: skip


def test_the_samples_are_all_of_one_release() -> None:
    """The table's releases differ in their status only."""
    assert {str(one["release"]["template"]) for one in SITUATIONS.values() if "release" in one} == {IN_FLIGHT["template"]}  # fmt: skip
