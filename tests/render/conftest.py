"""A release that leaks: with canary it is rolled back, without it everybody is locked out."""

import pytest

from canary.render.timeline import (
    Evidence,
    Moment,
    Numbers,
    Pool,
    ReleaseDecision,
    ReleaseSummary,
    Timeline,
)

ROLLED_BACK = ReleaseSummary(
    ended="RolledBack",
    reason="ConnectionLeak",
    sentence="leaks 1 connection per 50 logins.",
    requests=6000,
    failed=12,
    users=3000,
    users_hit=11,
    detected_after=60.4,
    weight_zero_after=61.2,
    peak_weight=10,
    peak_pool=0.45,
    failed_by_version={"canary": 12},
)
OUTAGE = ReleaseSummary(
    ended="Outage",
    reason="PoolSaturated",
    sentence="the pool is empty",
    requests=6000,
    failed=3120,
    users=3000,
    users_hit=2610,
    peak_weight=100,
    peak_pool=1.0,
)


def at(time: float, weight: int = 10) -> Moment:
    """A moment with two pools and two metrics."""
    return Moment(
        time=time,
        weight=weight,
        phase="Progressing",
        reason="GatheringEvidence",
        message="Not enough requests yet.",
        next="25 % in 18 s.",
        canary=Numbers(5.0, 0.031, 235, 7),
        stable=Numbers(45.0, 0.0, 2310, 1),
        pools=(
            Pool("auth-stable-0", "stable", 4, 20),
            Pool("auth-canary-0", "canary", 16, 20),
        ),
        evidence=(
            Evidence("errors", "Continue", 10.0, 100.0, "canary fails 1.4× as often"),
            Evidence("pool", "Continue", 0.3, 3.0, "0.3 connections held"),
        ),
    )


@pytest.fixture
def moment() -> Moment:
    """One look at a release at 10 %."""
    return at(47.0)


@pytest.fixture
def rolled_back() -> ReleaseSummary:
    """How it ended with canary."""
    return ROLLED_BACK


@pytest.fixture
def outage() -> ReleaseSummary:
    """How it ended without."""
    return OUTAGE


@pytest.fixture
def timeline() -> Timeline:
    """A minute of a release at 10 %."""
    return Timeline(
        title="leak, with canary",
        guarded=True,
        facts={"load": "50 logins/s"},
        moments=tuple(at(float(second)) for second in range(60)),
        decisions=(ReleaseDecision(6, 10, "Progressing", "StepPassed", "On to 10 %."),),
        result=ROLLED_BACK,
    )
