"""The result of an act, and whether it is the expected one."""

from collections.abc import Sequence

from canary.api import Reason, Status
from canary.api import Result as Ending
from canary.demo.load.tally import LoadRecord
from canary.demo.recorder import WINDOW, DemoRecorder
from canary.demo.scenarios import DemoScenario
from canary.render.timeline import Moment, ReleaseDecision, ReleaseSummary, Timeline

ALERT_RATIO = 0.05
"""Failed share of requests over 10 s at which an alert fires in the act without canary."""
DETECTION = f"an alert at {ALERT_RATIO:.0%} failed requests over {WINDOW:g} s"
OUTAGE = "Outage"
SHIPPED = "Shipped"


def guarded_result(
    status: Status, recorder: DemoRecorder, sums: LoadRecord, weight_zero_after: float | None
) -> ReleaseSummary:
    """Build the result of an act with canary from the release's history and the load's sums."""
    entry = status.history[0] if status.history else None
    rolled_back = _first_decision(recorder.decisions, "RollingBack")
    first_traffic = next((m.time for m in recorder.moments if m.weight > 0), None)
    exposed = None
    if weight_zero_after is not None and first_traffic is not None:
        exposed = max(weight_zero_after - first_traffic, 0.0)
    return ReleaseSummary(
        ended=entry.result if entry else status.phase,
        reason=entry.reason if entry else status.reason,
        sentence=(entry and entry.message) or (entry or status).reason.info.sentence,
        requests=_count_logins(sums),
        failed=sum(sums.logins_failed.values()),
        users=sums.users,
        users_hit=sums.users_hit,
        detected_after=rolled_back.time if rolled_back else None,
        weight_zero_after=weight_zero_after,
        exposed_for=exposed,
        peak_weight=entry.peak_weight if entry else status.weight,
        peak_pool=_peak_pool(recorder.moments),
        failed_by_version=sums.logins_failed,
    )


def outage_result(recorder: DemoRecorder, sums: LoadRecord) -> ReleaseSummary:
    """Build the result of an act without canary: when an alert fires, and the worst error ratio."""
    ratios = [(m.time, m.canary.error_ratio or 0.0) for m in recorder.moments if m.time > 0]
    noticed = next((time for time, ratio in ratios if ratio >= ALERT_RATIO), None)
    worst = max((ratio for _, ratio in ratios), default=0.0)
    outage = f"up to {worst:.0%} of all requests failed, and no traffic was shifted away"
    return ReleaseSummary(
        ended=SHIPPED if noticed is None else OUTAGE,
        reason="",
        sentence="all users have the new version" if noticed is None else outage,
        requests=_count_logins(sums),
        failed=sum(sums.logins_failed.values()),
        users=sums.users,
        users_hit=sums.users_hit,
        detected_after=noticed,
        peak_weight=100,
        peak_pool=_peak_pool(recorder.moments),
        failed_by_version=sums.logins_failed,
    )


def ended_as_expected(scenario: DemoScenario, timeline: Timeline) -> bool:
    """Return whether the act ended as its scenario must."""
    result = timeline.result
    if not timeline.guarded:
        return result.ended == (SHIPPED if scenario.harmless else OUTAGE)
    if scenario.good:
        return result.ended == Ending.PROMOTED
    return result.ended == Ending.ROLLED_BACK and Reason(result.reason) in scenario.reasons


def _count_logins(sums: LoadRecord) -> int:
    return sum(sums.logins_ok.values()) + sum(sums.logins_failed.values())


def _first_decision(decisions: Sequence[ReleaseDecision], phase: str) -> ReleaseDecision | None:
    return next((decision for decision in decisions if decision.phase == phase), None)


def _peak_pool(moments: Sequence[Moment]) -> float | None:
    return max((p.share for moment in moments for p in moment.pools if p.maximum), default=None)
