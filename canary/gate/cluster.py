"""What a gate reads of a cluster: the release, the template that its target wants, the operator."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from canary.api import Reason
from canary.core.snapshot import ReleaseResource
from canary.errors import PermanentError, TransientError
from canary.interfaces import Key
from canary.kube.objects import LEASES, Object, Objects
from canary.kube.releases import KubeReleases
from canary.kube.workloads.canaries import read_target
from canary.text.format import human_duration

STALE_SECONDS: Final = 30.0
"""Seconds without a renewal: an operator that lives renews every two."""
EXPIRED_SECONDS: Final = 300.0
"""Seconds that a renewal is old by the wall clock: no two clocks differ by so much."""
LEASE_INTERVAL: Final = 10.0
"""Seconds between two looks at the Lease."""


@dataclass(frozen=True, slots=True)
class ClusterState:
    """One reading."""

    resource: ReleaseResource
    template: str | None
    images: frozenset[str]


def read_state(objects: Objects, key: Key) -> ClusterState:
    """What is there now.

    Raises NotFoundError where the release is gone, UsageError where its spec cannot be followed,
    TransientError, and ForbiddenError that says what to grant.
    """
    resource = KubeReleases(objects, _ignore_warning).read(key)
    seen = read_target(objects, resource)
    if seen is None:
        return ClusterState(resource, None, frozenset())
    return ClusterState(resource, seen.wanted, _images_of(seen.template))


def _ignore_warning(key: Key, reason: Reason, message: str) -> None:
    """A request that nobody understands: the operator says so, where people look for it."""


def _images_of(template: Object) -> frozenset[str]:
    spec = template["spec"]
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return frozenset(one["image"] for one in containers if "image" in one)


@dataclass(slots=True)
class LeaseHealth:
    """Whether an operator lives, as far as its Lease may be read."""

    objects: Objects
    place: Key
    """Of the Lease."""
    now: Callable[[], float]
    """Seconds since the epoch."""
    _renewed: str = ""
    _since: float = 0.0
    _looked: float = float("-inf")
    _said: str | None = None
    _free: bool = False

    def trouble(self, elapsed: float) -> str | None:
        """What is wrong, empty if nothing is, None if that cannot be known.

        `elapsed` is a clock that never jumps (seconds).
        """
        if elapsed - self._looked >= LEASE_INTERVAL:
            self._looked = elapsed
            self._said = self._look(elapsed)
        return self._said

    def _look(self, elapsed: float) -> str | None:
        try:
            lease = self.objects.get(LEASES, self.place.namespace, self.place.name)
        except PermanentError:
            self._looked = float("inf")  # not for us to read: do not ask again
            return None
        except TransientError:
            return None
        if lease is None:
            return None
        spec = lease.get("spec") or {}
        if not spec.get("holderIdentity"):
            changing_hands, self._free = not self._free, True  # a new leader takes it at once
            return "" if changing_hands else "no operator is at work: nobody holds its Lease"
        self._free = False
        renewed = str(spec.get("renewTime", ""))
        if renewed != self._renewed:
            self._renewed, self._since = renewed, elapsed
        age = max(elapsed - self._since, self._by_the_wall(renewed))
        if age < STALE_SECONDS:
            return ""
        return f"the operator is silent: its Lease was last renewed {human_duration(age)} ago"

    def _by_the_wall(self, renewed: str) -> float:
        """Seconds, or 0 where other clocks would have to be believed."""
        try:
            then = datetime.fromisoformat(renewed)
        except ValueError:
            return 0.0
        if then.tzinfo is None:
            then = then.replace(tzinfo=UTC)
        age = self.now() - then.timestamp()
        return age if age > EXPIRED_SECONDS else 0.0
