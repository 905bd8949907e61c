"""`Workloads` over the API server: what is there, and each action as idempotent writes."""

from collections.abc import Callable
from typing import assert_never

from canary.api import Intent
from canary.core.plan import (
    DeleteCanary,
    EnsureCanary,
    FreeCapacity,
    Hold,
    KeepCapacity,
    NoteRejection,
    PutBack,
    Release,
    RestartTarget,
    RollTarget,
    RunChecks,
    WorkloadAction,
)
from canary.core.snapshot import Target, Wish
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
    FLOOR,
    floor_of,
    free_patch,
    keep_patch,
    owner_of,
    scalers_of,
)
from canary.kube.workloads.canaries import Canaries, pods_of, read, sets_of
from canary.kube.workloads.check_runner import Checks
from canary.kube.workloads.names import FINALIZER, HOLD, annotations
from canary.kube.workloads.patches import Patch, expect
from canary.kube.workloads.pause_patches import (
    abandon_patch,
    hold_patch,
    put_back_patch,
    release_patch,
    restart_patch,
    roll_patch,
)
from canary.kube.workloads.pods import pod_of
from canary.kube.workloads.preconditions import obstacle_of
from canary.kube.workloads.rejection import read_rejection, rejected_templates, rejection_patch
from canary.kube.workloads.target import Holding, Seen
from canary.kube.workloads.webhooks import Webhooks

TargetAction = Hold | PutBack | RollTarget | RestartTarget | NoteRejection | Release


class KubeWorkloads:
    """See Workloads. `holding` says at each pass how targets are held in this cluster."""

    def __init__(
        self, objects: Objects, holding: Callable[[], Holding], webhooks: Webhooks
    ) -> None:
        self._objects = objects
        self._holding = holding
        self._canaries = Canaries(objects)
        self._checks = Checks(objects, webhooks)

    def look(self, wish: Wish) -> Workload:
        """What is there now."""
        owner = self._owner(wish)
        return Workload(
            self._target(wish, owner),
            self._canaries.look(wish, owner),
            self._checks.look(wish, owner),
        )

    def apply(self, wish: Wish, action: WorkloadAction) -> None:
        """Carries one action out. Raises ConflictError, TransientError."""
        match action:
            case Hold() | PutBack() | RollTarget() | RestartTarget() | Release() | NoteRejection():
                self._change_target(wish, action)
            case KeepCapacity() | FreeCapacity():
                self._change_capacity(wish, action)
            case EnsureCanary():
                owner, seen = self._owner(wish), read(self._objects, wish)
                self._canaries.ensure(wish, owner, seen, action)
            case DeleteCanary():
                self._checks.stop(wish, self._owner(wish))
                self._canaries.delete(wish, self._owner(wish))
            case RunChecks():
                self._checks.run(wish, self._owner(wish))
            case _:
                assert_never(action)

    def abandon(self, key: Key) -> None:
        """Lets go of Deployments whose release is gone; see `abandon_patch`.

        A release without a finalizer goes at once, and leaves its annotations for us to remove.
        """
        for deployment in self._objects.list(DEPLOYMENTS, key.namespace, {}):
            if annotations(deployment).get(HOLD) == key.name:
                seen = Seen(deployment, sets_of(self._objects, deployment))
                self._patch(seen, abandon_patch(seen))

    def _target(self, wish: Wish, owner: Object) -> Target | None:
        seen = read(self._objects, wish)
        if seen is None:
            return None
        pods = pods_of(self._objects, seen.deployment, seen.sets)
        scalers = self._scalers(wish)
        resting = wish.status.intent is Intent.REST
        return Target(
            replicas=seen.replicas,
            template=seen.wanted,
            running=seen.running,
            held=seen.held(wish.name, self._holding(), resting=resting),
            paused=seen.paused,
            stable_lost=seen.lost(wish.status.stable_hash),
            pods=tuple(sorted((pod_of(pod) for pod in pods), key=lambda pod: pod.name)),
            obstacle=obstacle_of(self._objects, wish, owner, seen),
            restart_of=seen.restart_of,
            floor=floor_of(scalers),
            scaled_by=owner_of(scalers),
            keeps_history=seen.deployment["spec"].get("revisionHistoryLimit") != 0,
            rejection=read_rejection(seen.deployment),
            rejected=rejected_templates(seen),
            beside=seen.beside,
        )

    def _change_target(self, wish: Wish, action: TargetAction) -> None:
        seen = read(self._objects, wish)
        if isinstance(action, Release):
            if seen is not None and seen.guard == wish.name:
                self._patch(seen, release_patch(seen))
            return
        if seen is None:
            raise ConflictError(f"Deployment {wish.spec.target.name} is gone")
        match action:
            case Hold(stable):
                self._hold(wish, seen, stable)
            case PutBack(template, roll):
                self._put_back(wish, seen, template, roll=roll)
            case RollTarget(template):
                self._roll(seen, template, roll_patch(seen))
            case RestartTarget(template, at):
                self._roll(seen, template, restart_patch(seen, at))
            case NoteRejection(rejection):
                self._patch(seen, rejection_patch(seen, rejection))

    def _hold(self, wish: Wish, seen: Seen, stable: str) -> None:
        """The finalizer first: what is paused has somebody who lets it go."""
        mode = self._holding()
        if mode is Holding.AT_REST or seen.wanted != stable:
            self._finalizer(wish)
        self._patch(seen, hold_patch(seen, wish.name, stable, mode))
        if seen.wanted == stable and seen.others:
            raise TransientError("pods of another template are still being removed")
        if seen.wanted == stable and seen.keeper(stable) is None:
            raise TransientError("the target's ReplicaSet is not there yet")

    def _roll(self, seen: Seen, template: str, patch: Patch) -> None:
        if seen.wanted != template:
            raise ConflictError(f"the target wants {seen.wanted} now, not {template}")
        self._patch(seen, patch)

    def _put_back(self, wish: Wish, seen: Seen, template: str, *, roll: bool) -> None:
        keeper = seen.keeper(template)
        if keeper is not None:
            patch = put_back_patch(seen, wish.name, keeper, template, roll=roll)
        elif seen.wanted == template:
            # It makes its ReplicaSet itself, once it is not paused.
            patch = hold_patch(seen, wish.name, template, self._holding())
        else:
            raise TransientError(
                f"no ReplicaSet keeps template {template} any more (revisionHistoryLimit?): "
                f"apply the manifests of the version that is to run",
                retry_after=10.0,
            )
        self._patch(seen, patch)

    def _patch(self, seen: Seen, patch: Patch) -> None:
        metadata = seen.deployment["metadata"]
        if patch:
            self._objects.patch(DEPLOYMENTS, metadata["namespace"], metadata["name"], patch)

    def _change_capacity(self, wish: Wish, action: KeepCapacity | FreeCapacity) -> None:
        for scaler in self._scalers(wish):
            if isinstance(action, KeepCapacity):
                raised = keep_patch(scaler, action.replicas)
                self._patch_scaler(scaler, [] if owner_of([scaler]) else raised)
            else:
                freed = self._patch_scaler(scaler, free_patch(scaler))
                self._patch_scaler(freed, claims.forget(freed, FLOOR))

    def _patch_scaler(self, scaler: Object, patch: JsonPatch) -> Object:
        metadata = scaler["metadata"]
        if not patch:
            return scaler
        return self._objects.patch(AUTOSCALERS, metadata["namespace"], metadata["name"], patch)

    def _scalers(self, wish: Wish) -> list[Object]:
        found = self._objects.list(AUTOSCALERS, wish.namespace, {})
        return list(scalers_of(wish.spec.target.name, found))

    def _finalizer(self, wish: Wish) -> None:
        owner = self._owner(wish)
        have = owner["metadata"].get("finalizers") or []
        if FINALIZER not in have:
            guard = expect(owner, "/metadata/resourceVersion")
            add = {"op": "add", "path": "/metadata/finalizers", "value": [*have, FINALIZER]}
            self._objects.patch(RELEASES, wish.namespace, wish.name, [*guard, add])

    def _owner(self, wish: Wish) -> Object:
        owner = self._objects.get(RELEASES, wish.namespace, wish.name)
        if owner is None:
            raise NotFoundError(f"CanaryRelease {wish.name} is gone")
        return owner
