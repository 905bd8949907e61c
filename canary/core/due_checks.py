"""Selects the checks that are due now, from spec and status alone."""

from dataclasses import dataclass

from canary.api import Check, CheckMoment, Intent, Spec, Status


@dataclass(frozen=True, slots=True)
class DueChecks:
    """The checks to run now; `run` distinguishes the runs of one check in different steps."""

    when: CheckMoment
    checks: tuple[Check, ...]
    run: str


NOTHING_DUE = DueChecks(CheckMoment.BEFORE_TRAFFIC, (), "")


def select_due_checks(spec: Spec, status: Status) -> DueChecks:
    """Return the checks that must pass before the release continues; none if all have."""
    release = status.release
    if release is None:
        return NOTHING_DUE
    before = spec.checks_at(CheckMoment.BEFORE_TRAFFIC)
    each = spec.checks_at(CheckMoment.EACH_STEP)
    after = spec.checks_at(CheckMoment.AFTER_PROMOTION)
    match status.intent:
        case Intent.ADVANCE if len(release.checks) < len(before):
            return DueChecks(CheckMoment.BEFORE_TRAFFIC, before, "")
        case Intent.ADVANCE if each and release.checked_step < status.step:
            flows = status.step_started_at is not None
            run = f"step-{status.step}"
            return DueChecks(CheckMoment.EACH_STEP, each, run) if flows else NOTHING_DUE
        case Intent.BAKE if after and not release.checked_after:
            return DueChecks(CheckMoment.AFTER_PROMOTION, after, "after")
        case _:
            return NOTHING_DUE
