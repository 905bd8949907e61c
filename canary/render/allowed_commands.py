"""Decides which commands a release accepts in each phase, and describes the effect or the refusal.

Follows the rules of canary/core/rollout/commands.py: a request that those rules would ignore is
refused here, with the reason, before it is written to the cluster.
"""

from canary.api import Phase, Reason, Skip, Spec, Status
from canary.core.snapshot import Verb

_IN_FLIGHT = {
    Phase.PREPARING,
    Phase.CHECKING,
    Phase.PROGRESSING,
    Phase.WAITING_FOR_APPROVAL,
    Phase.PAUSED,
}


_HELD_REASONS = {Reason.SUSPENDED, Reason.SERVICE_SELECTS_NO_POD, Reason.STABLE_LOST}
"""Reasons at rest for which a waiting template may be released without analysis."""


def explain_refusal(
    verb: Verb, spec: Spec, status: Status, skip: Skip | None = None, to: str | None = None
) -> str | None:
    """Return why the release does not accept this command now (no full stop); None if it does.

    `skip` applies to promote; `to` (a template's hash) applies to undo.
    """
    match verb:
        case Verb.UNDO:
            return _refuse_undo(status, to)
        case Verb.RESTART:
            return _refuse_restart(status)
        case Verb.PROMOTE if skip is not None:
            return _refuse_skip(skip, spec, status)
        case _:
            return _refuse_by_phase(verb, spec, status)


def _refuse_skip(skip: Skip, spec: Spec, status: Status) -> str | None:
    if status.phase in _IN_FLIGHT:
        return None
    held = status.rejected_hash is not None or status.reason in _HELD_REASONS
    if skip is Skip.ANALYSIS and held and status.phase in {Phase.ROLLED_BACK, Phase.READY}:
        return None
    return _refuse_by_phase(Verb.PROMOTE, spec, status)


def _refuse_undo(status: Status, to: str | None) -> str | None:
    known = [one.template for one in status.earlier_stable]
    if status.phase in _IN_FLIGHT or status.phase is Phase.PROMOTING:
        return "a release is in flight: abort rolls it back"
    if status.phase is Phase.BAKING and status.previous_hash is None:
        return "no earlier version is known"
    if status.phase is Phase.BAKING:
        return None if to in {None, status.previous_hash} else _explain_unknown_template(to, known)
    if status.phase not in {Phase.READY, Phase.ROLLED_BACK}:
        return f"it is {status.phase} ({status.reason})"
    if not known:
        return "no earlier stable version is known"
    return None if to is None or to in known else _explain_unknown_template(to, known)


def _explain_unknown_template(to: str | None, known: list[str]) -> str:
    there = ", ".join(known) or "none"
    return f"template {to} was not stable before; known stable templates: {there}"


def _refuse_restart(status: Status) -> str | None:
    if status.phase is Phase.READY and status.reason is not Reason.SUSPENDED:
        return None
    return f"restart needs a stable version at rest, and the release is {status.phase}"


def _refuse_by_phase(verb: Verb, spec: Spec, status: Status) -> str | None:
    match status.phase:
        case Phase.PENDING | Phase.READY:
            return _refuse_at_rest(verb, spec, status)
        case Phase.ROLLED_BACK:
            return _refuse_after_rollback(verb, status)
        case Phase.PROMOTING | Phase.BAKING | Phase.ROLLING_BACK | Phase.TERMINATING:
            return _refuse_while_ending(verb, status)
        case _:
            return _refuse_in_flight(verb, spec, status)


def _refuse_while_ending(verb: Verb, status: Status) -> str | None:
    match status.phase:
        case Phase.PROMOTING:
            return _PROMOTING.get(verb)
        case Phase.BAKING if verb is Verb.ABORT:
            return None if status.previous_hash else "no earlier version is known"
        case Phase.BAKING:
            return "it is promoted already and only being monitored; abort rolls it back"
        case Phase.ROLLING_BACK:
            later = "; retry once that has ended" if verb is Verb.RETRY else ""
            return f"it is being rolled back already ({status.reason}){later}"
        case _:
            return "the CanaryRelease is being deleted; the route and the target are being restored"


_PROMOTING = {
    Verb.PROMOTE: "it is being promoted already",
    Verb.PAUSE: "it is being promoted and can no longer be paused; abort rolls it back",
    Verb.RESUME: "it is not paused: it is being promoted",
    Verb.RETRY: "it is being promoted, so there is nothing to retry",
}


def _refuse_at_rest(verb: Verb, spec: Spec, status: Status) -> str:
    if status.phase is Phase.PENDING:
        return f"Deployment {spec.target.name} is not managed yet ({status.reason})"
    if verb is Verb.RETRY:
        return "nothing was rolled back, so there is nothing to retry"
    if status.reason is Reason.SUSPENDED:
        return "the release is suspended: set spec.suspend to false"
    return (
        "no release is in progress; a change to the pod template of "
        f"Deployment {spec.target.name} starts one"
    )


def _refuse_after_rollback(verb: Verb, status: Status) -> str | None:
    if verb is not Verb.RETRY:
        return f"it was rolled back already ({status.reason})"
    if status.rejected_hash is None:
        return "no template is rejected: apply the manifests of the version that is to run"
    return None


def _refuse_in_flight(verb: Verb, spec: Spec, status: Status) -> str | None:
    paused = status.phase is Phase.PAUSED
    match verb:
        case Verb.ABORT:
            return None
        case Verb.PAUSE:
            return "it is already paused" if paused else None
        case Verb.RETRY:
            return "it is still in progress; abort it first"
        case Verb.RESUME if status.phase is Phase.WAITING_FOR_APPROVAL:
            return "it is not paused but waits for approval; promote approves it"
        case Verb.RESUME:
            return None if paused else "it is not paused"
        case Verb.PROMOTE:
            return None if paused else _refuse_approval(spec, status)
        case Verb.UNDO | Verb.RESTART:
            raise LookupError(f"{verb} is handled by its own function")


def _refuse_approval(spec: Spec, status: Status) -> str | None:
    step, release = min(status.step, len(spec.steps) - 1), status.release
    if release is not None and release.approved_step >= status.step:
        return f"step {step + 1} is approved already; it continues once the analysis passes"
    if not spec.steps[step].approval:
        return (
            f"step {step + 1} needs no approval: it continues by itself once the analysis passes, "
            "and a command cannot replace evidence"
        )
    return None


_ROLLS_BACK = "rolls back to the previous version with an ordinary rolling update"


def describe_effect(
    verb: Verb, spec: Spec, status: Status, skip: Skip | None = None, to: str | None = None
) -> str:
    """Return a short description of what the command does."""
    match verb:
        case Verb.PROMOTE if skip is Skip.ANALYSIS:
            return "gives the new version all traffic and promotes it without analysis"
        case Verb.PROMOTE if skip is Skip.STEPS:
            return "promotes it from the current step as soon as the analysis passes"
        case Verb.UNDO:
            known = [one.template for one in status.earlier_stable]
            back = to or status.previous_hash or next(iter(known), "")
            return f"rolls back to template {back}, and rejects the current one"
        case Verb.RESTART:
            return "restarts the pods of the stable version with an ordinary rolling update"
        case _:
            return _describe_change(verb, spec, status)


def _describe_change(verb: Verb, spec: Spec, status: Status) -> str:
    step, weight = f"step {status.step + 1} of {len(spec.steps)}", f"{status.weight} %"
    match verb:
        case Verb.PROMOTE if status.phase is Phase.PAUSED:
            asks = spec.steps[min(status.step, len(spec.steps) - 1)].approval
            verb_words = "resumes and approves" if asks else "resumes"
            return f"{verb_words} {step} ({_describe_weight(spec, status)})"
        case Verb.PROMOTE:
            return f"approves {step} ({weight})"
        case Verb.PAUSE:
            return f"stays at {weight} until resumed; still rolled back if it fails"
        case Verb.RESUME:
            return f"continues with {step} at {_describe_weight(spec, status)}"
        case Verb.ABORT:
            takes = "rolls back: the canary has no traffic"
            if status.weight:
                takes = f"removes the canary's {weight} of the traffic now and rolls back"
            rolled = status.phase is Phase.PROMOTING and not status.weight
            return _ROLLS_BACK if rolled or status.phase is Phase.BAKING else takes
        case Verb.RETRY:
            rejected = f"the rejected template {status.rejected_hash}"
            accepts = f"accepts {rejected}, which is running, as stable"
            again = f"retries {rejected} from the first step"
            return accepts if status.stable_hash is None else again
        case _:
            raise LookupError(f"{verb} is handled by its own function")


def _describe_weight(spec: Spec, status: Status) -> str:
    """Return the weight of the step; a pause may have lowered the current one."""
    weight = spec.steps[min(status.step, len(spec.steps) - 1)].weight
    return f"{weight} %" if weight == status.weight else f"{weight} %, now {status.weight} %"


def list_allowed(spec: Spec, status: Status) -> list[Verb]:
    """Return the commands that the release accepts now."""
    return [verb for verb in Verb if explain_refusal(verb, spec, status) is None]
