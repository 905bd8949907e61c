"""The user's Deployment and its ReplicaSets: what is wanted, what runs, and is it held."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from canary.kube.objects import Object
from canary.kube.workloads.names import HOLD, STABLE, STABLE_SET, annotations_of
from canary.kube.workloads.template import same_template, template_hash, without_restart


class PauseMode(StrEnum):
    """How a Deployment is kept from rolling a template that nobody vetted."""

    AT_REST = "AtRest"
    """Paused all the time."""
    ON_CHANGE = "OnChange"
    """An admission policy pauses it in the same write that changes the template."""


@dataclass(frozen=True, slots=True)
class TargetState:
    """The target as the API server has it, with the ReplicaSets that it controls."""

    deployment: Object
    sets: tuple[Object, ...]

    @property
    def template(self) -> Object:
        """What the user wants now."""
        template: Object = self.deployment["spec"]["template"]
        return template

    @property
    def replicas(self) -> int:
        """How many pods the user, or an autoscaler, wants."""
        return int(self.deployment["spec"].get("replicas", 1))

    @property
    def paused(self) -> bool:
        """The Deployment controller makes no pods of a changed template."""
        return bool(self.deployment["spec"].get("paused"))

    @property
    def guard(self) -> str | None:
        """The CanaryRelease that guards it."""
        return annotations_of(self.deployment).get(HOLD)

    @property
    def stable(self) -> str | None:
        """Our hash of the vetted template."""
        return annotations_of(self.deployment).get(STABLE)

    @property
    def wanted(self) -> str:
        """Our hash of the template that the user wants."""
        return self.hash_of(self.deployment)

    def hash_of(self, owner: Object) -> str:
        """Our hash of the template of the Deployment or of a ReplicaSet.

        What equals the template of the ReplicaSet that was noted as stable has the hash that was
        noted with it, also after a newer API server added defaults to both.
        """
        noted = self._noted()
        template = owner["spec"]["template"]
        if noted is not None and same_template(noted["spec"]["template"], template):
            return annotations_of(self.deployment)[STABLE]
        return template_hash(template)

    @property
    def restart_of(self) -> str | None:
        """Our hash of the vetted template, where the wanted one only restarts its pods."""
        noted = self._noted()
        if noted is None or self.wanted == self.stable:
            return None
        vetted = without_restart(noted["spec"]["template"])
        return self.stable if without_restart(self.template) == vetted else None

    def keeper(self, template: str) -> Object | None:
        """The ReplicaSet that keeps the template with this hash."""
        return next((one for one in self.sets if self.hash_of(one) == template), None)

    def lost(self, stable: str | None) -> bool:
        """Whether the template with this hash is neither wanted nor kept by any ReplicaSet."""
        return stable is not None and self.wanted != stable and self.keeper(stable) is None

    @property
    def running(self) -> str | None:
        """Our hash of the template that all pods run, if all are available; else None.

        It is another than the wanted one where a changed template is paused.
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
        return self.beside if updated == 0 and self.paused else None

    @property
    def beside(self) -> str | None:
        """Our hash of the only other template than the wanted one that has ready pods, or None."""
        others = [one for one in self._others() if int(_status_of(one).get("readyReplicas", 0)) > 0]
        return self.hash_of(others[0]) if len(others) == 1 else None

    @property
    def others(self) -> bool:
        """Whether pods of another template than the wanted one are there."""
        return any(self._others())

    def _others(self) -> Iterator[Object]:
        for one in self.sets:
            pods = max(int(one["spec"].get("replicas", 0)), int(_status_of(one).get("replicas", 0)))
            if pods > 0 and not same_template(one["spec"]["template"], self.template):
                yield one

    def _noted(self) -> Object | None:
        noted = annotations_of(self.deployment)
        if STABLE not in noted:
            return None
        sets = (one for one in self.sets if one["metadata"]["name"] == noted.get(STABLE_SET))
        return next(sets, None)

    def held(self, release: str, mode: PauseMode, *, resting: bool) -> bool:
        """Whether a changed template does not roll.

        Paused with the vetted template wanted and pods of another one left is not held: a paused
        Deployment would keep those for ever, and would make no ReplicaSet where there is none. And
        where a policy pauses on change, a target at rest that is still paused is to be let go once
        more.
        """
        vetted = self.stable is not None and self.wanted == self.stable
        if vetted and (self.others or self.keeper(self.wanted) is None):
            return False
        if mode is PauseMode.AT_REST:
            return self.paused and (self.guard == release or not resting)
        if self.paused:
            return not (vetted and resting)
        return vetted and self.guard == release


def _status_of(obj: Object) -> Object:
    status: Object = obj.get("status") or {}
    return status
