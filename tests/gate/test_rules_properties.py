"""What holds of every answer of a gate, whatever the status says."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from canary.api import HistoryEntry, Intent, Pause, Reason, Release, Result, Status
from canary.core.snapshot import ReleaseRequest, ReleaseResource, Verb
from canary.errors import ExitCode
from canary.gate.result import build_result
from canary.gate.rules import evaluate_rules, time_out
from canary.gate.tracking import (
    FinishedState,
    GateOptions,
    Observation,
    PendingState,
    TrackedRelease,
)
from canary.results.publishing import render_text
from tests.gate.test_rules import NEW, OLD, OTHER, SPEC, SUSPENDED

HASHES = st.sampled_from([NEW, OLD, OTHER])
REASONS = st.sampled_from(sorted(Reason))
TIMES = st.sampled_from([50.0, 70.0, 80.0])


@st.composite
def entries(draw) -> HistoryEntry:
    """One ended release, before the gate began (50) or after."""
    return HistoryEntry(
        template=draw(HASHES),
        result=draw(st.sampled_from(sorted(Result))),
        reason=draw(REASONS),
        started_at=1.0,
        ended_at=draw(TIMES),
    )


@st.composite
def releases(draw) -> Release:
    """A release in flight."""
    paused = draw(st.none() | REASONS)
    return Release(
        template=draw(HASHES),
        started_at=60.0,
        replicas=4,
        failed=draw(st.none() | REASONS),
        pause=Pause(reason=paused, since=61.0) if paused else None,
    )


@st.composite
def statuses(draw) -> Status:
    """Whatever an operator could write, and more."""
    return Status(
        observed_generation=draw(st.sampled_from([0, 1])),
        reason=draw(REASONS),
        intent=draw(st.sampled_from(sorted(Intent))),
        stable_hash=draw(st.none() | HASHES),
        rejected_hash=draw(st.none() | HASHES),
        release=draw(st.none() | releases()),
        history=tuple(draw(st.lists(entries(), max_size=3))),
    )


WISHES = st.builds(
    ReleaseResource,
    name=st.just("auth"),
    namespace=st.just("prod"),
    generation=st.just(1),
    spec=st.sampled_from([SPEC, SUSPENDED]),
    status=statuses(),
    version=st.just("1"),
    deleting_since=st.none() | st.just(5.0),
    request=st.none() | st.builds(ReleaseRequest, st.sampled_from(sorted(Verb)), st.just("r")),
)
SIGHTS = st.builds(
    Observation, resource=WISHES, template=st.none() | HASHES, quiet=st.sampled_from([0.0, 99.0])
)
ASKS = st.builds(GateOptions, pause_ok=st.booleans(), bake=st.booleans())
QUEST = TrackedRelease(NEW, frozenset({50.0}), fresh=True)


@given(SIGHTS, ASKS)
def test_a_pipeline_goes_on_only_if_its_own_version_is_promoted(sight, ask):
    """Exit 0: this template is stable, baking, or was promoted since the gate began."""
    found = evaluate_rules(sight, QUEST, ask)
    if isinstance(found, FinishedState) and found.code is ExitCode.OK:
        status = sight.status
        own = [one for one in status.history if one.template == NEW and one.ended_at != 50.0]
        assert (
            status.stable_hash == NEW
            or (status.release is not None and status.release.template == NEW)
            or own[0].result is Result.PROMOTED
        )


@given(SIGHTS, ASKS)
def test_a_failure_is_a_failure_of_this_version(sight, ask):
    """Exit 3: this template is rejected, was rolled back since, or was put back."""
    found = evaluate_rules(sight, QUEST, ask)
    if isinstance(found, FinishedState) and found.code is ExitCode.FAILED:
        status = sight.status
        rolled_back = any(
            one.template == NEW and one.result is Result.ROLLED_BACK for one in status.history
        )
        put_back = status.reason is Reason.UNPAUSED_BY_HAND
        assert status.rejected_hash == NEW or rolled_back or put_back


@given(SIGHTS, ASKS)
def test_what_others_did_changes_no_answer(sight, ask):
    """FinishedState releases of other templates are nothing to this pipeline."""
    own = tuple(one for one in sight.status.history if one.template == NEW)
    status = sight.status.model_copy(update={"history": own})
    alone = replace(sight, resource=replace(sight.resource, status=status))
    assert evaluate_rules(sight, QUEST, ask) == evaluate_rules(alone, QUEST, ask)


@given(SIGHTS, ASKS)
def test_a_time_out_is_never_a_pass(sight, ask):
    """Whatever a gate that is still waiting is told at the end, it is not exit 0; and it can be said."""
    if isinstance(evaluate_rules(sight, QUEST, ask), PendingState):
        ended = time_out(sight, QUEST, ask, "30m")
        assert ended.code in {ExitCode.TIMED_OUT, ExitCode.FAILED}
        assert render_text(build_result(ended, sight, QUEST, 1.0)).startswith("prod/auth: ")
