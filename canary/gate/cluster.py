"""What a gate reads from a cluster: the release, the template of its target, the operator's Lease.

The release comes from a watch. Its target is read again when the release changes, because the
operator writes the status soon after a new template; and every 30 s, for a gate that waits for an
image while no operator is running. So a gate needs no permission to watch Deployments, and a wait
of 30 minutes takes about 250 requests.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from canary.api import Reason
from canary.core.snapshot import ReleaseResource
from canary.errors import NotFoundError, PermanentError, TransientError
from canary.interfaces import Key
from canary.kube.objects import DEPLOYMENTS, LEASES, RELEASES, Object, Objects
from canary.kube.releases import KubeReleases
from canary.kube.workloads.canaries import list_replica_sets
from canary.kube.workloads.target import TargetState
from canary.text.format import human_duration

TARGET_INTERVAL: Final = 30.0
"""Seconds after which the target is read again although the release has not changed."""
STALE_SECONDS: Final = 30.0
"""Age of the Lease from which the operator counts as not running; it renews every 2 s."""
EXPIRED_SECONDS: Final = 300.0
"""Age by the wall clock from which a Lease counts as stale; clocks differ by less."""
LEASE_INTERVAL: Final = 10.0
"""Seconds between two reads of the Lease."""


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The release and its target at one time."""

    resource: ReleaseResource
    template: str | None
    """Hash of the template in the Deployment; None if the Deployment does not exist."""
    images: frozenset[str]
    """Images of the template."""


class ClusterReader:
    """Reads the state of one release and its target, with as few requests as possible."""

    def __init__(
        self,
        objects: Objects,
        key: Key,
        elapsed: Callable[[], float],
        release: Object | None = None,
    ) -> None:
        """`elapsed` is a monotonic clock in seconds; `release` the object, if read already."""
        self._objects, self._key, self._elapsed = objects, key, elapsed
        self._releases = KubeReleases(objects, _ignore_warning)
        self._release = release
        self._target: TargetState | None = None
        self._read_at = float("-inf")

    def read(self, release: Object | None = None) -> ClusterState:
        """Return the current state; `release` is the object from the watch, if it has changed.

        Raises NotFoundError if the release does not exist, UsageError if its spec is invalid,
        TransientError, and ForbiddenError that says what to grant.
        """
        changed = release is not None
        self._release = release or self._release or self._get_release()
        resource = self._releases.from_object(self._key, self._release)
        if changed or self._elapsed() - self._read_at >= TARGET_INTERVAL:
            self._target = self._read_target(resource)
            self._read_at = self._elapsed()
        if self._target is None:
            return ClusterState(resource, None, frozenset())
        return ClusterState(resource, self._target.wanted, _images_of(self._target.template))

    def _get_release(self) -> Object:
        found = self._objects.get(RELEASES, self._key.namespace, self._key.name)
        if found is None:
            raise NotFoundError(f"there is no CanaryRelease {self._key.name}")
        return found

    def _read_target(self, resource: ReleaseResource) -> TargetState | None:
        """Read the Deployment, and its ReplicaSets if the Deployment has changed."""
        found = self._objects.get(DEPLOYMENTS, resource.namespace, resource.spec.target.name)
        if found is None:
            return None
        known = self._target
        if known is not None and _version_of(known.deployment) == _version_of(found):
            return known
        return TargetState(found, list_replica_sets(self._objects, found))


def _version_of(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["uid"], obj["metadata"]["resourceVersion"]


def _ignore_warning(key: Key, reason: Reason, message: str) -> None:
    """Ignore an invalid command; the operator reports it in an Event."""


def _images_of(template: Object) -> frozenset[str]:
    spec = template["spec"]
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return frozenset(one["image"] for one in containers if "image" in one)


@dataclass(slots=True)
class LeaseHealth:
    """Tells from the Lease whether an operator is running, if the Lease may be read."""

    objects: Objects
    key: Key
    """Namespace and name of the Lease."""
    now: Callable[[], float]
    """Wall clock: seconds since the epoch."""
    _renew_time: str = ""
    _renewed_at: float = 0.0
    _read_at: float = float("-inf")
    _problem: str | None = None
    _unheld: bool = False

    def describe_problem(self, elapsed: float) -> str | None:
        """Return what is wrong, an empty string if nothing is, None if that is unknown.

        `elapsed` is a monotonic clock in seconds.
        """
        if elapsed - self._read_at >= LEASE_INTERVAL:
            self._read_at = elapsed
            self._problem = self._check_lease(elapsed)
        return self._problem

    def _check_lease(self, elapsed: float) -> str | None:
        try:
            lease = self.objects.get(LEASES, self.key.namespace, self.key.name)
        except PermanentError:
            self._read_at = float("inf")  # forbidden: do not fill the audit log
            return None
        except TransientError:
            return None
        if lease is None:
            return None
        spec = lease.get("spec") or {}
        if not spec.get("holderIdentity"):
            # Between two leaders the Lease is free for a moment: report it the second time.
            first, self._unheld = not self._unheld, True
            return "" if first else "no operator is running: nobody holds its Lease"
        self._unheld = False
        renew_time = str(spec.get("renewTime", ""))
        if renew_time != self._renew_time:
            self._renew_time, self._renewed_at = renew_time, elapsed
        age = max(elapsed - self._renewed_at, self._wall_clock_age(renew_time))
        if age < STALE_SECONDS:
            return ""
        return f"the operator is not running: its Lease was renewed {human_duration(age)} ago"

    def _wall_clock_age(self, renew_time: str) -> float:
        """Return the age in seconds by the wall clock; 0 if a clock skew could explain it."""
        try:
            renewed = datetime.fromisoformat(renew_time)
        except ValueError:
            return 0.0
        if renewed.tzinfo is None:
            renewed = renewed.replace(tzinfo=UTC)
        age = self.now() - renewed.timestamp()
        return age if age > EXPIRED_SECONDS else 0.0
