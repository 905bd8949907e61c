"""Describes what the controller does next, for the status, the live view and the report."""

from canary.api import Intent, ReasonKind, Release, Skip, Spec, Status
from canary.core.rollout.time_limits import TimeLimit, list_spans
from canary.text.format import human_duration


def describe_next_step(spec: Spec, status: Status, now: float) -> str:
    """Return what the controller does next, or what it waits for.

    `now` is in seconds since the epoch.
    """
    reason = status.reason.info
    match status.intent:
        case Intent.REST if reason.stalls and not reason.next_step:
            return "starts no release until that is fixed"
        case Intent.REST:
            return reason.next_step or "waits for a new template"
        case Intent.ROLL_BACK:
            return "sets weight 0, waits for the router, then removes the canary"
        case Intent.BAKE:
            left = spec.bake - (now - (status.bake_started_at or now))
            return f"monitors the new version for {human_duration(max(left, 0))} more"
        case Intent.PROMOTE | Intent.ADVANCE:
            return _describe_progress(spec, status, now)


def _describe_progress(spec: Spec, status: Status, now: float) -> str:
    release = status.release
    if release is None:
        return "waits for a new template"
    if release.pause is not None:
        return "waits for a person: `canary resume`, `promote` or `abort`"
    reason = status.reason.info
    if reason.next_step or status.intent is Intent.PROMOTE:
        return reason.next_step or "promotes"
    if reason.kind is not ReasonKind.PROGRESS:
        return "continues once that is fixed"
    return _describe_step(spec, status, release, now)


def _describe_step(spec: Spec, status: Status, release: Release, now: float) -> str:
    """Return what follows the current step and its earliest time, or the deadline before it."""
    step = spec.steps[min(status.step, len(spec.steps) - 1)]
    last = status.step + 1 >= len(spec.steps) or _skips_steps(release)
    then = "promotes" if last else f"gives it {spec.steps[status.step + 1].weight} %"
    if step.approval and release.approved_step < status.step:
        then = "waits for approval"
    left = step.duration - (now - (status.step_started_at or now))
    if then == "promotes":
        left = max(left, spec.analysis.min_duration - (now - (release.judged_from or now)))
    started, seconds = list_spans(status, spec)[TimeLimit.RELEASE]
    deadline = (started or now) + seconds - now
    if deadline < left:
        left = max(deadline, 0)
        return f"reaches its deadline in {human_duration(left)}, before anything else can happen"
    if left > 0:
        return f"{then} in {human_duration(left)}, if the evidence allows it by then"
    return f"{then} as soon as the evidence allows it"


def _skips_steps(release: Release) -> bool:
    return release.override is not None and release.override.skip is Skip.STEPS
