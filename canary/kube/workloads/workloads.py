"""`Workloads` over the API server: reads the state, and applies actions as idempotent writes."""

from collections.abc import Callable
from typing import assert_never

from canary.api import Intent
from canary.core.plan import (
    DeleteCanary,
    EnsureCanary,
    NoteRejection,
    PauseTarget,
    PinMinReplicas,
    RestartTarget,
    RestoreTemplate,
    ResumeTarget,
    RunChecks,
    UnmanageTarget,
    UnpinMinReplicas,
    WorkloadAction,
)
from canary.core.snapshot import ReleaseResource, TargetDeployment
from canary.errors import ConflictError, NotFoundError, TransientError
from canary.interfaces import Key, Workload
from canary.kube import claims
from canary.kube.objects import (
    AUTOSCALERS,
    DEPLOYMENTS,
    RELEASES,
    JsonPatch,
    Object,
    Objects,
)
from canary.kube.workloads.autoscaler import (
    MIN_REPLICAS,
    keda_owner,
    pin_patch,
    read_min_replicas,
    select_autoscalers,
    unpin_patch,
)
from canary.kube.workloads.canaries import Canaries, list_pods, list_replica_sets, read_target
from canary.kube.workloads.check_runner import CheckRunner
from canary.kube.workloads.names import FINALIZER, HOLD, annotations_of
from canary.kube.workloads.patches import Patch, expect_unchanged
from canary.kube.workloads.pause_patches import (
    pause_patch,
    restart_patch,
    restore_template_patch,
    resume_patch,
    unmanage_abandoned_patch,
    unmanage_patch,
)
from canary.kube.workloads.pods import parse_pod
from canary.kube.workloads.preconditions import find_obstacle
from canary.kube.workloads.rejection import read_rejection, rejected_templates, rejection_patch
from canary.kube.workloads.target import PauseMode, TargetState
from canary.kube.workloads.webhooks import Webhooks

TargetAction = (
    PauseTarget | RestoreTemplate | ResumeTarget | RestartTarget | NoteRejection | UnmanageTarget
)


class KubeWorkloads:
    """See Workloads. `pause_mode` returns how targets are paused in this cluster now."""

    def __init__(
        self, objects: Objects, pause_mode: Callable[[], PauseMode], webhooks: Webhooks
    ) -> None:
        self._objects = objects
        self._pause_mode = pause_mode
        self._canaries = Canaries(objects)
        self._checks = CheckRunner(objects, webhooks)

    def read(self, resource: ReleaseResource) -> Workload:
        """Read target, canary and checks."""
        owner = _build_owner(resource)
        return Workload(
            self._read_target(resource, owner),
            self._canaries.read(resource, owner),
            self._checks.read(resource, owner),
        )

    def apply(self, resource: ReleaseResource, action: WorkloadAction) -> None:
        """Apply one action. Raises ConflictError, TransientError."""
        match action:
            case (
                PauseTarget()
                | RestoreTemplate()
                | ResumeTarget()
                | RestartTarget()
                | UnmanageTarget()
                | NoteRejection()
            ):
                self._change_target(resource, action)
            case PinMinReplicas() | UnpinMinReplicas():
                self._change_capacity(resource, action)
            case EnsureCanary():
                owner, target = _build_owner(resource), read_target(self._objects, resource)
                self._canaries.ensure(resource, owner, target, action)
            case DeleteCanary():
                self._checks.stop(resource, _build_owner(resource))
                self._canaries.delete(resource, _build_owner(resource))
            case RunChecks():
                self._checks.run(resource, _build_owner(resource))
            case _:
                assert_never(action)

    def abandon(self, key: Key) -> None:
        """Unmanage the Deployments of a release that no longer exists.

        A release without a finalizer is deleted at once, and its annotations stay on the target.
        """
        for deployment in self._objects.list(DEPLOYMENTS, key.namespace, {}):
            if annotations_of(deployment).get(HOLD) == key.name:
                target = TargetState(deployment, list_replica_sets(self._objects, deployment))
                self._patch_target(target, unmanage_abandoned_patch(target))

    def _read_target(self, resource: ReleaseResource, owner: Object) -> TargetDeployment | None:
        target = read_target(self._objects, resource)
        if target is None:
            return None
        pods = list_pods(self._objects, target.deployment, target.sets)
        scalers = self._list_autoscalers(resource)
        resting = resource.status.intent is Intent.REST
        return TargetDeployment(
            replicas=target.replicas,
            template=target.wanted,
            running=target.running,
            held=target.is_held(resource.name, self._pause_mode(), resting=resting),
            paused=target.paused,
            stable_lost=target.is_stable_lost(resource.status.stable_hash),
            pods=tuple(sorted((parse_pod(pod) for pod in pods), key=lambda pod: pod.name)),
            obstacle=find_obstacle(self._objects, resource, owner, target) if resting else None,
            restart_of=target.restart_of,
            floor=read_min_replicas(scalers),
            scaled_by=keda_owner(scalers),
            keeps_history=target.deployment["spec"].get("revisionHistoryLimit") != 0,
            rejection=read_rejection(target.deployment),
            rejected=rejected_templates(target),
            other_ready=target.other_ready,
        )

    def _change_target(self, resource: ReleaseResource, action: TargetAction) -> None:
        target = read_target(self._objects, resource)
        if isinstance(action, UnmanageTarget):
            if target is not None and target.managed_by == resource.name:
                self._patch_target(target, unmanage_patch(target))
            return
        if target is None:
            raise ConflictError(f"Deployment {resource.spec.target.name} no longer exists")
        match action:
            case PauseTarget(stable):
                self._pause_target(resource, target, stable)
            case RestoreTemplate(template, roll):
                self._restore_template(resource, target, template, roll=roll)
            case ResumeTarget(template):
                self._roll_out(target, template, resume_patch(target))
            case RestartTarget(template, at):
                self._roll_out(target, template, restart_patch(target, at))
            case NoteRejection(rejection):
                self._patch_target(target, rejection_patch(target, rejection))

    def _pause_target(self, resource: ReleaseResource, target: TargetState, stable: str) -> None:
        """Add the finalizer, then pause: a paused target always has a release that resumes it."""
        mode = self._pause_mode()
        if mode is PauseMode.AT_REST or target.wanted != stable:
            self._add_finalizer(resource)
        self._patch_target(target, pause_patch(target, resource.name, stable, mode))
        if target.wanted == stable and target.others:
            raise TransientError("pods of another template are still being removed")
        if target.wanted == stable and target.find_replica_set(stable) is None:
            raise TransientError("the target's ReplicaSet does not exist yet")

    def _roll_out(self, target: TargetState, template: str, patch: Patch) -> None:
        if target.wanted != template:
            raise ConflictError(f"the target has template {target.wanted} now, expected {template}")
        self._patch_target(target, patch)

    def _restore_template(
        self, resource: ReleaseResource, target: TargetState, template: str, *, roll: bool
    ) -> None:
        keeper = target.find_replica_set(template)
        if keeper is not None:
            patch = restore_template_patch(target, resource.name, keeper, template, roll=roll)
        elif target.wanted == template:
            # The Deployment creates its ReplicaSet itself, once it is not paused.
            patch = pause_patch(target, resource.name, template, self._pause_mode())
        else:
            raise TransientError(
                f"no ReplicaSet has template {template} any more (see revisionHistoryLimit): "
                f"apply the manifests of the desired version",
                retry_after=10.0,
            )
        self._patch_target(target, patch)

    def _patch_target(self, target: TargetState, patch: Patch) -> None:
        metadata = target.deployment["metadata"]
        if patch:
            self._objects.patch(DEPLOYMENTS, metadata["namespace"], metadata["name"], patch)

    def _change_capacity(
        self, resource: ReleaseResource, action: PinMinReplicas | UnpinMinReplicas
    ) -> None:
        for scaler in self._list_autoscalers(resource):
            if isinstance(action, PinMinReplicas):
                raised = pin_patch(scaler, action.replicas)
                self._patch_scaler(scaler, [] if keda_owner([scaler]) else raised)
            else:
                freed = self._patch_scaler(scaler, unpin_patch(scaler))
                self._patch_scaler(freed, claims.remove_claim_patch(freed, MIN_REPLICAS))

    def _patch_scaler(self, scaler: Object, patch: JsonPatch) -> Object:
        metadata = scaler["metadata"]
        if not patch:
            return scaler
        return self._objects.patch(AUTOSCALERS, metadata["namespace"], metadata["name"], patch)

    def _list_autoscalers(self, resource: ReleaseResource) -> list[Object]:
        found = self._objects.list(AUTOSCALERS, resource.namespace, {})
        return list(select_autoscalers(resource.spec.target.name, found))

    def _add_finalizer(self, resource: ReleaseResource) -> None:
        owner = self._objects.get(RELEASES, resource.namespace, resource.name)
        if owner is None:
            raise NotFoundError(f"CanaryRelease {resource.name} no longer exists")
        have = owner["metadata"].get("finalizers") or []
        if FINALIZER not in have:
            guard = expect_unchanged(owner, "/metadata/resourceVersion")
            add = {"op": "add", "path": "/metadata/finalizers", "value": [*have, FINALIZER]}
            self._objects.patch(RELEASES, resource.namespace, resource.name, [*guard, add])


def _build_owner(resource: ReleaseResource) -> Object:
    """Return the release as the owner of the objects that are made for it."""
    identity = {"name": resource.name, "namespace": resource.namespace, "uid": resource.uid}
    return {"metadata": identity}
