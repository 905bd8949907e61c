"""What happens next, in one sentence: for status, live view and report."""

from canary.api import Intent, Reason, Release, Skip, Spec, Status
from canary.core.conditions import STALLING

WAITS_FOR = {
    Reason.TARGET_NOT_FOUND: "waits for the target to exist",
    Reason.TARGET_NOT_STABLE: "adopts the target once its roll has ended",
    Reason.TARGET_SCALED_TO_ZERO: "waits until the target has replicas",
    Reason.ROUTE_NOT_FOUND: "waits for the route to exist",
    Reason.STARTED: "creates the canary",
    Reason.CANARY_NOT_READY: "waits for the canary's pods, then gives it traffic",
    Reason.CHECKS_RUNNING: "waits for the checks",
    Reason.SHIFTING_TRAFFIC: "waits for the router, then the step's clock starts",
    Reason.NO_DATA: "keeps the weight and waits for data",
    Reason.MONITORING_UNAVAILABLE: "keeps the weight and waits for the monitoring system",
    Reason.STABLE_UNHEALTHY: "keeps the weight until stable is healthy again",
    Reason.JUDGE_STATE_UNREADABLE: "keeps the weight until the judge has caught up",
    Reason.TRAFFIC_NOT_SHIFTED: "keeps the weight until the traffic follows it",
    Reason.ROUTE_NOT_ACCEPTED: "keeps the canary without traffic until the router takes the route",
    Reason.REPLACING_UNHEALTHY_STABLE: "promotes in short steps, while it is better than stable",
    Reason.APPROVAL_NEEDED: "waits for a person's `canary promote`",
    Reason.SUSPENDED: "waits until the release is no longer suspended",
    Reason.ROLLING_TARGET: "waits for the target to roll, then puts the route back",
    Reason.RESTORING_ROUTE: "waits for the router, then removes the canary",
    Reason.DRAINING: "removes the canary once no request reaches it any more",
}


GOES_ON = {
    Reason.HOLDING,
    Reason.GATHERING_EVIDENCE,
    Reason.STEP_PASSED,
    Reason.STEPS_SKIPPED,
}
"""The next step comes by itself; for any other reason something else has to happen before."""


def outlook(spec: Spec, status: Status, now: float) -> str:
    """What the controller does next and what it waits for; `now` in seconds since the epoch."""
    match status.intent:
        case Intent.REST if status.reason in STALLING - WAITS_FOR.keys():
            return "starts no release before that is put right"
        case Intent.REST:
            return WAITS_FOR.get(status.reason, "waits for a new template")
        case Intent.ROLL_BACK:
            return "takes the traffic away, waits for the router, then removes the canary"
        case Intent.BAKE:
            left = spec.bake - (now - (status.bake_started_at or now))
            return f"watches for {max(left, 0):.0f} s more"
        case Intent.PROMOTE | Intent.ADVANCE:
            return _under_way(spec, status, now)


def _under_way(spec: Spec, status: Status, now: float) -> str:
    release = status.release
    if release is None:
        return "waits for a new template"
    if release.pause is not None:
        return "waits for a person: `canary resume`, `promote` or `abort`"
    if status.reason in WAITS_FOR or status.intent is Intent.PROMOTE:
        return WAITS_FOR.get(status.reason, "promotes")
    if status.reason not in GOES_ON:
        return "goes on once that is put right"
    return _next_step(spec, status, release, now)


def _next_step(spec: Spec, status: Status, release: Release, now: float) -> str:
    """What follows the present step, and when at the earliest; or what comes before that."""
    step = spec.steps[min(status.step, len(spec.steps) - 1)]
    last = status.step + 1 >= len(spec.steps) or _skips_steps(release)
    then = "promotes" if last else f"gives it {spec.steps[status.step + 1].weight} %"
    if step.approval and release.approved_step < status.step:
        then = "asks a person for approval"
    left = step.hold - (now - (status.step_started_at or now))
    if then == "promotes":
        left = max(left, spec.analysis.minimum - (now - (release.judged_from or now)))
    deadline = max(release.started_at, release.resumed_at or 0.0) + spec.deadline - now
    if deadline < left:
        return f"reaches its deadline in {max(deadline, 0):.0f} s, before anything else can happen"
    if left > 0:
        return f"{then} in {left:.0f} s, if the evidence allows it by then"
    return f"{then} as soon as the evidence allows it"


def _skips_steps(release: Release) -> bool:
    return release.override is not None and release.override.skip is Skip.STEPS
