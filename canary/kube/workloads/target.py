"""State of the user's Deployment: its template, what its pods run, and whether it is paused."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from canary.kube.objects import Object
from canary.kube.workloads.names import HOLD, STABLE, STABLE_SET, annotations_of
from canary.kube.workloads.template import same_template, template_hash, without_restart


class PauseMode(StrEnum):
    """How a Deployment is kept from rolling out a template without analysis."""

    AT_REST = "AtRest"
    """The Deployment is paused whenever no release runs."""
    ON_CHANGE = "OnChange"
    """An admission policy pauses it in the same write that changes the template."""


@dataclass(frozen=True)
class TargetState:
    """The target as the API server has it, with the ReplicaSets that it controls.

    Hashes are this project's, of templates: see canary.kube.workloads.template. Comparing and
    hashing templates is most of what a reconcile reads, so `wanted` is computed once per object.
    """

    deployment: Object
    sets: tuple[Object, ...]

    @property
    def template(self) -> Object:
        """The template of the Deployment."""
        template: Object = self.deployment["spec"]["template"]
        return template

    @property
    def replicas(self) -> int:
        """The desired number of pods, set by the user or an autoscaler."""
        return int(self.deployment["spec"].get("replicas", 1))

    @property
    def paused(self) -> bool:
        """Whether the Deployment is paused, so that a changed template does not roll out."""
        return bool(self.deployment["spec"].get("paused"))

    @property
    def managed_by(self) -> str | None:
        """Name of the CanaryRelease that manages the target."""
        return annotations_of(self.deployment).get(HOLD)

    @property
    def stable(self) -> str | None:
        """Hash of the stable template."""
        return annotations_of(self.deployment).get(STABLE)

    @cached_property
    def wanted(self) -> str:
        """Hash of the Deployment's template."""
        return self.hash_of(self.deployment)

    def hash_of(self, owner: Object) -> str:
        """Return the hash of the template of the Deployment or of a ReplicaSet.

        A template that equals that of the recorded stable ReplicaSet has the recorded hash, also
        after a newer API server has added defaults to both.
        """
        noted = self._find_noted
        template = owner["spec"]["template"]
        if noted is not None and same_template(noted["spec"]["template"], template):
            return annotations_of(self.deployment)[STABLE]
        return template_hash(template)

    @property
    def restart_of(self) -> str | None:
        """Hash of the stable template, when the Deployment's only restarts its pods; else None."""
        noted = self._find_noted
        if noted is None or self.wanted == self.stable:
            return None
        vetted = without_restart(noted["spec"]["template"])
        return self.stable if without_restart(self.template) == vetted else None

    def find_replica_set(self, template: str) -> Object | None:
        """Return the ReplicaSet with the template of this hash."""
        return next((one for one in self.sets if self.hash_of(one) == template), None)

    def is_stable_lost(self, stable: str | None) -> bool:
        """Return whether neither the Deployment nor a ReplicaSet has the template of this hash."""
        return (
            stable is not None and self.wanted != stable and self.find_replica_set(stable) is None
        )

    @property
    def running(self) -> str | None:
        """Hash of the template that all pods run, if all are available; else None.

        It differs from `wanted` while a changed template is paused.
        """
        metadata, status = self.deployment["metadata"], self.deployment.get("status") or {}
        observed = int(status.get("observedGeneration", 0)) >= int(metadata.get("generation", 0))
        counts = [int(status.get(count, 0)) for count in ("replicas", "availableReplicas")]
        if not observed or any(count != self.replicas for count in counts):
            return None
        updated = int(status.get("updatedReplicas", 0))
        kept = any(same_template(one["spec"]["template"], self.template) for one in self.sets)
        if updated == self.replicas and kept and not self.others:
            return self.wanted
        return self.other_ready if updated == 0 and self.paused else None

    @property
    def other_ready(self) -> str | None:
        """Hash of the only template other than `wanted` that has ready pods, or None."""
        others = [
            one for one in self._list_others() if int(_status_of(one).get("readyReplicas", 0)) > 0
        ]
        return self.hash_of(others[0]) if len(others) == 1 else None

    @property
    def others(self) -> bool:
        """Whether pods of another template than `wanted` exist."""
        return any(self._list_others())

    def _list_others(self) -> Iterator[Object]:
        for one in self.sets:
            pods = max(int(one["spec"].get("replicas", 0)), int(_status_of(one).get("replicas", 0)))
            if pods > 0 and not same_template(one["spec"]["template"], self.template):
                yield one

    @cached_property
    def _find_noted(self) -> Object | None:
        """The ReplicaSet that is recorded as the stable one."""
        noted = annotations_of(self.deployment)
        if STABLE not in noted:
            return None
        sets = (one for one in self.sets if one["metadata"]["name"] == noted.get(STABLE_SET))
        return next(sets, None)

    def is_held(self, release: str, mode: PauseMode, *, resting: bool) -> bool:
        """Return whether a changed template is kept from rolling out.

        A target with the stable template and pods of another one is not held even if it is paused:
        a paused Deployment would keep those pods, and would not create a missing ReplicaSet. With
        OnChange, a target at rest that is still paused is not held either: it has to be resumed.
        """
        vetted = self.stable is not None and self.wanted == self.stable
        if vetted and (self.others or self.find_replica_set(self.wanted) is None):
            return False
        if mode is PauseMode.AT_REST:
            return self.paused and (self.managed_by == release or not resting)
        if self.paused:
            return not (vetted and resting)
        return vetted and self.managed_by == release


def _status_of(obj: Object) -> Object:
    status: Object = obj.get("status") or {}
    return status
