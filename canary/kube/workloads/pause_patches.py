"""JSON Patches that pause, restore, resume, restart and unmanage the target.

Each patch fails when the target is another object, or has another template, than the one that was
read.
"""

from datetime import UTC, datetime
from typing import Any

from canary.kube.objects import Object
from canary.kube.workloads.names import HOLD, RESTARTED_AT, STABLE, STABLE_SET
from canary.kube.workloads.patches import Patch, annotation_patch, expect_unchanged
from canary.kube.workloads.target import PauseMode, TargetState
from canary.kube.workloads.template import users_template, without_restart


def pause_patch(seen: TargetState, release: str, stable: str, mode: PauseMode) -> Patch:
    """Return the patch that keeps the target from rolling out another template than `stable`.

    [] when nothing has to change.
    """
    vetted = seen.wanted == stable
    whole = seen.find_replica_set(stable) is not None and not seen.others
    paused = not vetted or (mode is PauseMode.AT_REST and whole)
    patch = _guard_steps(
        seen, [*_mark_steps(seen, release, stable), *_pause_steps(seen, paused=paused)]
    )
    # Two releases may adopt one target at the same moment: the second patch has to fail.
    fresh = (
        []
        if seen.managed_by == release
        else expect_unchanged(seen.deployment, "/metadata/resourceVersion")
    )
    return [*fresh, *patch] if patch else []


def restore_template_patch(
    seen: TargetState, release: str, keeper: Object, template: str, *, roll: bool
) -> Patch:
    """Return the patch that restores the template of the ReplicaSet `keeper`.

    The same write pauses the target, unless pods of another template exist: a paused Deployment
    would neither remove them nor bring back the pods that they replaced. Unpaused, it does both and
    restarts no pod.
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
    """Return the patch that lets the target roll out its template."""
    return _guard_steps(seen, _pause_steps(seen, paused=False))


def restart_patch(seen: TargetState, at: float) -> Patch:
    """Return the patch that restarts all pods and unpauses the target, in one write.

    `at` is in seconds since the epoch.
    """
    now = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    template = without_restart(seen.template)
    notes = {**template["metadata"]["annotations"], RESTARTED_AT: now}
    template["metadata"]["annotations"] = notes
    changed = {"op": "replace", "path": "/spec/template", "value": template}
    return _guard_steps(seen, [changed, *_pause_steps(seen, paused=False)])


def unmanage_patch(seen: TargetState) -> Patch:
    """Return the patch that unpauses the target and removes the operator's annotations."""
    marks = annotation_patch(seen.deployment, {HOLD: None, STABLE: None, STABLE_SET: None})
    return _guard_steps(seen, [*marks, *_pause_steps(seen, paused=False)])


def unmanage_abandoned_patch(seen: TargetState) -> Patch:
    """Return `unmanage_patch` that restores the stable template as well, if another one is paused.

    It is one write, so the Deployment never rolls out the paused template, and no pod restarts.
    """
    keeper = seen.find_replica_set(seen.stable) if seen.paused and seen.stable is not None else None
    back: Patch = []
    if keeper is not None and seen.wanted != seen.stable:
        wanted = users_template(keeper["spec"]["template"])
        back = [{"op": "replace", "path": "/spec/template", "value": wanted}]
    marks = annotation_patch(seen.deployment, {HOLD: None, STABLE: None, STABLE_SET: None})
    return _guard_steps(seen, [*back, *marks, *_pause_steps(seen, paused=False)])


def _mark_steps(seen: TargetState, release: str, stable: str) -> Patch:
    keeper = seen.find_replica_set(stable)
    name = keeper["metadata"]["name"] if keeper else None
    return annotation_patch(seen.deployment, {HOLD: release, STABLE: stable, STABLE_SET: name})


def _pause_steps(seen: TargetState, *, paused: bool) -> Patch:
    if paused == seen.paused:
        return []
    if paused:
        return [{"op": "add", "path": "/spec/paused", "value": True}]
    return [{"op": "remove", "path": "/spec/paused"}]


def _guard_steps(seen: TargetState, steps: Patch) -> Patch:
    """Make the patch fail for another object, or another template, than the one that was read."""
    return (
        [*expect_unchanged(seen.deployment, "/metadata/uid", "/spec/template"), *steps]
        if steps
        else []
    )


def _with_template(deployment: Object, template: Object) -> Object:
    return {**deployment, "spec": {**deployment["spec"], "template": template}}
