"""What a person may ask of a release, phase by phase: what it would do, or why it makes no sense.

As canary/core/rollout/requests.py takes requests; what it would ignore is refused here, with the
reason, before it is written.
"""

from canary.api import Phase, Reason, Spec, Status
from canary.core.snapshot import Verb


def refusal(verb: Verb, spec: Spec, status: Status) -> str | None:
    """Why this makes no sense now, in a sentence without a full stop; None: it does."""
    match status.phase:
        case Phase.PENDING | Phase.READY:
            return _nothing_under_way(verb, spec, status)
        case Phase.ROLLED_BACK:
            return _rolled_back(verb, status)
        case Phase.PROMOTING | Phase.BAKING | Phase.ROLLING_BACK | Phase.TERMINATING:
            return _too_late(verb, status)
        case _:
            return _under_way(verb, spec, status)


def _too_late(verb: Verb, status: Status) -> str | None:
    match status.phase:
        case Phase.PROMOTING:
            return _PROMOTING.get(verb)
        case Phase.BAKING if verb is Verb.ABORT:
            return None if status.previous_hash else "no version before this one is known"
        case Phase.BAKING:
            return "it is promoted already and only being watched; abort goes back"
        case Phase.ROLLING_BACK:
            later = "; retry once that has ended" if verb is Verb.RETRY else ""
            return f"it is being rolled back already ({status.reason}){later}"
        case _:
            return "the CanaryRelease is being deleted; everything is put back"


_PROMOTING = {
    Verb.PROMOTE: "it is being promoted already",
    Verb.PAUSE: "it is being promoted and cannot be paused any more; abort takes it back",
    Verb.RESUME: "it is not paused: it is being promoted",
    Verb.RETRY: "it is being promoted: there is nothing to try again",
}


def _nothing_under_way(verb: Verb, spec: Spec, status: Status) -> str:
    if status.phase is Phase.PENDING:
        return f"Deployment {spec.target.name} is not guarded yet ({status.reason})"
    if verb is Verb.RETRY:
        return "nothing was rolled back, so there is nothing to try again"
    if status.reason is Reason.SUSPENDED:
        return "the release is suspended: set spec.suspend to false"
    return (
        "no release is under way; a change of the template of "
        f"Deployment {spec.target.name} starts one"
    )


def _rolled_back(verb: Verb, status: Status) -> str | None:
    if verb is not Verb.RETRY:
        return f"it was rolled back already ({status.reason})"
    if status.rejected_hash is None:
        return "no template is rejected: apply the manifests of the version that is to run"
    return None


def _under_way(verb: Verb, spec: Spec, status: Status) -> str | None:
    paused = status.phase is Phase.PAUSED
    match verb:
        case Verb.ABORT:
            return None
        case Verb.PAUSE:
            return "it is paused already" if paused else None
        case Verb.RETRY:
            return "it is still under way; abort it first"
        case Verb.RESUME if status.phase is Phase.WAITING_FOR_APPROVAL:
            return "it is not paused: it waits for approval, which promote gives"
        case Verb.RESUME:
            return None if paused else "it is not paused"
        case Verb.PROMOTE:
            return None if paused else _no_approval(spec, status)


def _no_approval(spec: Spec, status: Status) -> str | None:
    step, release = min(status.step, len(spec.steps) - 1), status.release
    if release is not None and release.approved_step >= status.step:
        return f"step {step + 1} is approved already; it goes on once the evidence allows it"
    if not spec.steps[step].approval:
        return (
            f"step {step + 1} asks for no approval: it goes on by itself once the evidence "
            "allows it, and nothing can take the place of evidence"
        )
    return None


_GOES_BACK = "rolls back to the version before, by an ordinary rolling update"


def effect(verb: Verb, spec: Spec, status: Status) -> str:
    """What it does, in a few words."""
    step, weight = f"step {status.step + 1} of {len(spec.steps)}", f"{status.weight} %"
    match verb:
        case Verb.PROMOTE if status.phase is Phase.PAUSED:
            asks = spec.steps[min(status.step, len(spec.steps) - 1)].approval
            return f"resumes{', and approves' if asks else ''} {step} ({weight})"
        case Verb.PROMOTE:
            return f"approves {step} ({weight})"
        case Verb.PAUSE:
            return f"stays at {weight} until resumed; still rolled back if it fails"
        case Verb.RESUME:
            return f"goes on with {step} at {weight}"
        case Verb.ABORT:
            takes = f"takes the canary's {weight} of the traffic away now and rolls back"
            rolled = status.phase is Phase.PROMOTING and not status.weight
            return _GOES_BACK if rolled or status.phase is Phase.BAKING else takes
        case Verb.RETRY:
            return f"tries the rejected template {status.rejected_hash} again from the first step"


def possible(spec: Spec, status: Status) -> list[Verb]:
    """What makes sense now."""
    return [verb for verb in Verb if refusal(verb, spec, status) is None]
