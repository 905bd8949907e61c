"""PauseMode the target and letting it go, each as one JSON Patch that is refused if it moved on."""

from datetime import UTC, datetime
from typing import Any

from canary.kube.objects import Object
from canary.kube.workloads.names import HOLD, RESTARTED_AT, STABLE, STABLE_SET
from canary.kube.workloads.patches import Patch, annotation_patch, expect_unchanged
from canary.kube.workloads.target import PauseMode, TargetState
from canary.kube.workloads.template import users_template, without_restart


def pause_patch(seen: TargetState, release: str, stable: str, mode: PauseMode) -> Patch:
    """Keeps the target from rolling what is not the template with hash `stable`; [] if it is so."""
    vetted = seen.wanted == stable
    whole = seen.keeper(stable) is not None and not seen.others
    paused = not vetted or (mode is PauseMode.AT_REST and whole)
    patch = _guard_steps(
        seen, [*_mark_steps(seen, release, stable), *_pause_steps(seen, paused=paused)]
    )
    # Two releases may adopt one target at the same moment: the second is refused.
    fresh = (
        []
        if seen.guard == release
        else expect_unchanged(seen.deployment, "/metadata/resourceVersion")
    )
    return [*fresh, *patch] if patch else []


def restore_template_patch(
    seen: TargetState, release: str, keeper: Object, template: str, *, roll: bool
) -> Patch:
    """The template of the ReplicaSet `keeper`, in one write with whether the target is paused.

    Not paused while pods of another template are there: a paused Deployment would neither remove
    them nor bring back those that they replaced. Rolling, it does both and restarts none.
    """
    wanted = users_template(keeper["spec"]["template"])
    steps: list[dict[str, Any]] = []
    if users_template(seen.template) != wanted:
        steps.append({"op": "replace", "path": "/spec/template", "value": wanted})
    if not roll:
        steps += _mark_steps(seen, release, template)
    strangers = TargetState(_with_template(seen.deployment, wanted), seen.sets).others
    return _guard_steps(seen, [*steps, *_pause_steps(seen, paused=not (roll or strangers))])


def resume_patch(seen: TargetState) -> Patch:
    """Lets the target roll to the template that it has."""
    return _guard_steps(seen, _pause_steps(seen, paused=False))


def restart_patch(seen: TargetState, at: float) -> Patch:
    """The annotation that makes new pods of the same template, in one write with un-pausing.

    `at` is in seconds since the epoch.
    """
    now = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    template = without_restart(seen.template)
    notes = {**template["metadata"]["annotations"], RESTARTED_AT: now}
    template["metadata"]["annotations"] = notes
    changed = {"op": "replace", "path": "/spec/template", "value": template}
    return _guard_steps(seen, [changed, *_pause_steps(seen, paused=False)])


def unmanage_patch(seen: TargetState) -> Patch:
    """Lets the target go for good, with nothing of ours left on it."""
    marks = annotation_patch(seen.deployment, {HOLD: None, STABLE: None, STABLE_SET: None})
    return _guard_steps(seen, [*marks, *_pause_steps(seen, paused=False)])


def unmanage_abandoned_patch(seen: TargetState) -> Patch:
    """As `unmanage_patch`; where a template is held that nobody vetted, the vetted one goes back.

    One write: the Deployment never rolls what was held, and no pod restarts.
    """
    keeper = seen.keeper(seen.stable) if seen.paused and seen.stable is not None else None
    back: Patch = []
    if keeper is not None and seen.wanted != seen.stable:
        wanted = users_template(keeper["spec"]["template"])
        back = [{"op": "replace", "path": "/spec/template", "value": wanted}]
    marks = annotation_patch(seen.deployment, {HOLD: None, STABLE: None, STABLE_SET: None})
    return _guard_steps(seen, [*back, *marks, *_pause_steps(seen, paused=False)])


def _mark_steps(seen: TargetState, release: str, stable: str) -> Patch:
    keeper = seen.keeper(stable)
    name = keeper["metadata"]["name"] if keeper else None
    return annotation_patch(seen.deployment, {HOLD: release, STABLE: stable, STABLE_SET: name})


def _pause_steps(seen: TargetState, *, paused: bool) -> Patch:
    if paused == seen.paused:
        return []
    if paused:
        return [{"op": "add", "path": "/spec/paused", "value": True}]
    return [{"op": "remove", "path": "/spec/paused"}]


def _guard_steps(seen: TargetState, steps: Patch) -> Patch:
    """Refused if it is another object, or wants another template, than the one that was seen."""
    return (
        [*expect_unchanged(seen.deployment, "/metadata/uid", "/spec/template"), *steps]
        if steps
        else []
    )


def _with_template(deployment: Object, template: Object) -> Object:
    return {**deployment, "spec": {**deployment["spec"], "template": template}}
