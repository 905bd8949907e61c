"""`Workloads` over the API server: what is there, and each action as idempotent writes."""

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
    """See Workloads. `holding` says at each pass how targets are held in this cluster."""

    def __init__(
        self, objects: Objects, holding: Callable[[], PauseMode], webhooks: Webhooks
    ) -> None:
        self._objects = objects
        self._holding = holding
        self._canaries = Canaries(objects)
        self._checks = CheckRunner(objects, webhooks)

    def read(self, resource: ReleaseResource) -> Workload:
        """What is there now."""
        owner = self._owner(resource)
        return Workload(
            self._target(resource, owner),
            self._canaries.read(resource, owner),
            self._checks.read(resource, owner),
        )

    def apply(self, resource: ReleaseResource, action: WorkloadAction) -> None:
        """Carries one action out. Raises ConflictError, TransientError."""
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
                owner, seen = self._owner(resource), read_target(self._objects, resource)
                self._canaries.ensure(resource, owner, seen, action)
            case DeleteCanary():
                self._checks.stop(resource, self._owner(resource))
                self._canaries.delete(resource, self._owner(resource))
            case RunChecks():
                self._checks.run(resource, self._owner(resource))
            case _:
                assert_never(action)

    def abandon(self, key: Key) -> None:
        """Lets go of Deployments whose release is gone; see `unmanage_abandoned_patch`.

        A release without a finalizer goes at once, and leaves its annotations for us to remove.
        """
        for deployment in self._objects.list(DEPLOYMENTS, key.namespace, {}):
            if annotations_of(deployment).get(HOLD) == key.name:
                seen = TargetState(deployment, list_replica_sets(self._objects, deployment))
                self._patch(seen, unmanage_abandoned_patch(seen))

    def _target(self, resource: ReleaseResource, owner: Object) -> TargetDeployment | None:
        seen = read_target(self._objects, resource)
        if seen is None:
            return None
        pods = list_pods(self._objects, seen.deployment, seen.sets)
        scalers = self._scalers(resource)
        resting = resource.status.intent is Intent.REST
        return TargetDeployment(
            replicas=seen.replicas,
            template=seen.wanted,
            running=seen.running,
            held=seen.held(resource.name, self._holding(), resting=resting),
            paused=seen.paused,
            stable_lost=seen.lost(resource.status.stable_hash),
            pods=tuple(sorted((parse_pod(pod) for pod in pods), key=lambda pod: pod.name)),
            obstacle=find_obstacle(self._objects, resource, owner, seen),
            restart_of=seen.restart_of,
            floor=read_min_replicas(scalers),
            scaled_by=keda_owner(scalers),
            keeps_history=seen.deployment["spec"].get("revisionHistoryLimit") != 0,
            rejection=read_rejection(seen.deployment),
            rejected=rejected_templates(seen),
            beside=seen.beside,
        )

    def _change_target(self, resource: ReleaseResource, action: TargetAction) -> None:
        seen = read_target(self._objects, resource)
        if isinstance(action, UnmanageTarget):
            if seen is not None and seen.guard == resource.name:
                self._patch(seen, unmanage_patch(seen))
            return
        if seen is None:
            raise ConflictError(f"Deployment {resource.spec.target.name} is gone")
        match action:
            case PauseTarget(stable):
                self._hold(resource, seen, stable)
            case RestoreTemplate(template, roll):
                self._put_back(resource, seen, template, roll=roll)
            case ResumeTarget(template):
                self._roll(seen, template, resume_patch(seen))
            case RestartTarget(template, at):
                self._roll(seen, template, restart_patch(seen, at))
            case NoteRejection(rejection):
                self._patch(seen, rejection_patch(seen, rejection))

    def _hold(self, resource: ReleaseResource, seen: TargetState, stable: str) -> None:
        """The finalizer first: what is paused has somebody who lets it go."""
        mode = self._holding()
        if mode is PauseMode.AT_REST or seen.wanted != stable:
            self._finalizer(resource)
        self._patch(seen, pause_patch(seen, resource.name, stable, mode))
        if seen.wanted == stable and seen.others:
            raise TransientError("pods of another template are still being removed")
        if seen.wanted == stable and seen.keeper(stable) is None:
            raise TransientError("the target's ReplicaSet is not there yet")

    def _roll(self, seen: TargetState, template: str, patch: Patch) -> None:
        if seen.wanted != template:
            raise ConflictError(f"the target wants {seen.wanted} now, not {template}")
        self._patch(seen, patch)

    def _put_back(
        self, resource: ReleaseResource, seen: TargetState, template: str, *, roll: bool
    ) -> None:
        keeper = seen.keeper(template)
        if keeper is not None:
            patch = restore_template_patch(seen, resource.name, keeper, template, roll=roll)
        elif seen.wanted == template:
            # It makes its ReplicaSet itself, once it is not paused.
            patch = pause_patch(seen, resource.name, template, self._holding())
        else:
            raise TransientError(
                f"no ReplicaSet keeps template {template} any more (revisionHistoryLimit?): "
                f"apply the manifests of the version that is to run",
                retry_after=10.0,
            )
        self._patch(seen, patch)

    def _patch(self, seen: TargetState, patch: Patch) -> None:
        metadata = seen.deployment["metadata"]
        if patch:
            self._objects.patch(DEPLOYMENTS, metadata["namespace"], metadata["name"], patch)

    def _change_capacity(
        self, resource: ReleaseResource, action: PinMinReplicas | UnpinMinReplicas
    ) -> None:
        for scaler in self._scalers(resource):
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

    def _scalers(self, resource: ReleaseResource) -> list[Object]:
        found = self._objects.list(AUTOSCALERS, resource.namespace, {})
        return list(select_autoscalers(resource.spec.target.name, found))

    def _finalizer(self, resource: ReleaseResource) -> None:
        owner = self._owner(resource)
        have = owner["metadata"].get("finalizers") or []
        if FINALIZER not in have:
            guard = expect_unchanged(owner, "/metadata/resourceVersion")
            add = {"op": "add", "path": "/metadata/finalizers", "value": [*have, FINALIZER]}
            self._objects.patch(RELEASES, resource.namespace, resource.name, [*guard, add])

    def _owner(self, resource: ReleaseResource) -> Object:
        owner = self._objects.get(RELEASES, resource.namespace, resource.name)
        if owner is None:
            raise NotFoundError(f"CanaryRelease {resource.name} is gone")
        return owner
