"""A pass that waits for a sample or a change comes in time for everything that time alone decides."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from canary.api import Intent, Reason, Release, Status
from canary.core import rollout
from canary.core.analysis.result import AnalysisResult
from canary.core.plan import Plan
from canary.core.rollout import decide
from canary.core.rollout.time_limits import TimeLimit, list_spans
from canary.core.snapshot import Canary, Snapshot
from tests.core.test_rollout import (
    CANARY,
    CONTINUE,
    DOWN,
    IN_STEP,
    NOW,
    PASS,
    PROMOTING,
    ROLLING_BACK,
    SILENT,
    SPEC,
    pods,
    release_with,
    snapshot,
)

STARTING = Canary("v2", 2, pods(2, ready=False))
FULL = Canary("v2", 4, pods(4))
PREPARING = release_with(
    IN_STEP.model_copy(update={"weight": 0, "step_started_at": None}),
    scaling_since=NOW - 57,
    confirmed_at=None,
    judged_from=None,
)
BAKING = IN_STEP.model_copy(
    update={"intent": Intent.BAKE, "weight": 0, "stable_hash": "v2", "bake_started_at": NOW - 20}
)

BUSY = replace(CONTINUE, canary_busy=True)
SLOW = SPEC.model_copy(
    update={"traffic": SPEC.traffic.model_copy(update={"propagation_delay": 300.0})}
)

DEADLINES = [
    pytest.param(snapshot(PREPARING, canary=STARTING), CONTINUE, 3.0, id="the progress deadline"),
    pytest.param(
        snapshot(release_with(PREPARING, resumed_at=NOW - 50), canary=STARTING),
        CONTINUE,
        10.0,
        id="the progress deadline counts from a resume",
    ),
    pytest.param(
        snapshot(
            release_with(PREPARING, scaling_since=NOW, unready_since=NOW - 27), canary=STARTING
        ),
        CONTINUE,
        3.0,
        id="the tolerated incident of a canary without a ready pod",
    ),
    pytest.param(
        snapshot(release_with(IN_STEP, confirmed_at=NOW - 0.5), canary=CANARY),
        CONTINUE,
        1.5,
        id="the propagation delay",
    ),
    pytest.param(
        snapshot(IN_STEP.model_copy(update={"step_started_at": NOW - 16}), canary=CANARY),
        CONTINUE,
        4.0,
        id="the step's duration",
    ),
    pytest.param(
        snapshot(
            release_with(IN_STEP, data_seen_at=NOW - 58).model_copy(
                update={"step_started_at": NOW - 65}
            ),
            canary=CANARY,
        ),
        SILENT,
        2.0,
        id="the no-data timeout",
    ),
    pytest.param(
        snapshot(release_with(IN_STEP, started_at=NOW - 1793), canary=CANARY),
        CONTINUE,
        7.0,
        id="the release's deadline",
    ),
    pytest.param(
        snapshot(
            release_with(PROMOTING, unhold_at=NOW - 58), running=None, held=False, canary=FULL
        ),
        CONTINUE,
        2.0,
        id="the roll of the target",
    ),
    pytest.param(
        snapshot(BAKING, running="v2", spec=SPEC.model_copy(update={"bake": 25.0})),
        CONTINUE,
        5.0,
        id="the bake",
    ),
    pytest.param(
        snapshot(release_with(ROLLING_BACK, confirmed_at=NOW - 57), canary=CANARY),
        BUSY,
        3.0,
        id="the drain of the canary",
    ),
    pytest.param(
        snapshot(
            release_with(PROMOTING, unhold_at=NOW - 20),
            template="v1",
            running=None,
            canary=FULL,
            deleting_since=NOW - 88,
        ),
        CONTINUE,
        2.0,
        id="the target of a deleted release",
    ),
    pytest.param(
        snapshot(
            release_with(ROLLING_BACK, confirmed_at=NOW - 117),
            canary=CANARY,
            deleting_since=NOW - 117,
            spec=SLOW,
        ),
        CONTINUE,
        3.0,
        id="the cleanup of a deleted release",
    ),
    pytest.param(
        snapshot(release_with(IN_STEP, started_at=NOW - 5, judged_from=NOW - 5), canary=CANARY),
        CONTINUE,
        10.0,
        id="nothing is near: ten seconds, in case that an announcement was lost",
    ),
]


@pytest.mark.parametrize(("snap", "judged", "seconds"), DEADLINES)
def test_the_next_pass_comes_when_the_next_deadline_ends(
    snap: Snapshot, judged: AnalysisResult, seconds: float
) -> None:
    """Not at the next sample, and not a second later."""
    assert decide(snap, judged).wait_at_most == pytest.approx(seconds)


def test_every_limit_has_a_span() -> None:
    """A limit without one could be asked for by a rule, and no pass would come at its end."""
    assert set(list_spans(IN_STEP, SPEC)) == set(TimeLimit)


def _reckons_with_the_time(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare | ast.BinOp) and any(
        isinstance(part, ast.Attribute) and part.attr == "now" for part in ast.walk(node)
    )


def test_rules_know_the_time_by_the_limits_only() -> None:
    """A rule that subtracts times itself has no row in the table, so no pass would come in time.

    Only the age of an earlier stable template is reckoned elsewhere: nothing waits for that.
    """
    own = [
        (path.name, part.name)
        for path in sorted(Path(rollout.__file__).parent.glob("*.py"))
        for part in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(part, ast.FunctionDef) and any(map(_reckons_with_the_time, ast.walk(part)))
    ]
    assert own == [
        ("context.py", "seconds_waited"),
        ("context.py", "is_over"),
        ("idle.py", "list_earlier_templates"),
        ("idle.py", "return_to_stable"),
    ]


AGO = st.one_of(st.none(), st.floats(0, 130).map(lambda seconds: NOW - seconds))
RELEASES = st.builds(
    Release,
    template=st.just("v2"),
    started_at=st.floats(0, 1900).map(lambda seconds: NOW - seconds),
    replicas=st.just(4),
    failed=st.sampled_from([None, Reason.CANARY_OUTAGE]),
    rolled=st.booleans(),
    approved_step=st.just(9),
    **dict.fromkeys(
        ("confirmed_at", "scaling_since", "judged_from", "data_seen_at", "unready_since"), AGO
    ),
    **dict.fromkeys(("resumed_at", "unhold_at"), AGO),
)
STATUSES = st.builds(
    lambda status, release, step, **times: status.model_copy(
        update={"release": release, "step": step, **times}
    ),
    st.sampled_from([IN_STEP, PROMOTING, ROLLING_BACK, BAKING]),
    RELEASES,
    st.integers(0, 2),
    step_started_at=AGO,
    bake_started_at=AGO,
)
CANARIES = st.sampled_from([None, CANARY, STARTING, FULL, Canary("v2", 0)])


def decided(plan: Plan) -> tuple[object, ...]:
    """What people and the world notice of a plan."""
    status = plan.status
    return status.intent, status.reason, status.weight, status.step, plan.actions


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    STATUSES,
    CANARIES,
    st.sampled_from([PASS, CONTINUE, SILENT, DOWN]),
    st.sampled_from(["v1", "v2", None]),
    st.booleans(),
    AGO,
    st.floats(0.01, 0.99),
)
def test_nothing_is_decided_by_time_alone_before_the_wait_is_over(  # noqa: PLR0913, PLR0917
    status: Status, canary, judged, running: str | None, held, deleting: float | None, part: float
) -> None:
    """A limit whose end the next pass does not await would be late by up to ten seconds."""
    snap = snapshot(status, canary=canary, running=running, held=held, deleting_since=deleting)
    plan = decide(snap, judged)
    assume(plan.wait_at_most is not None)
    assert plan.wait_at_most is not None
    resource = replace(snap.resource, status=plan.status)
    later = replace(snap, now=NOW + part * (plan.wait_at_most - 0.05), resource=resource)
    assert decided(decide(later, judged)) == decided(plan)
