"""Leader election with one Lease: at most one replica writes at any time.

Clocks of other machines are not used: a replica regards a lease as expired once it has observed no
renewal for the lease's duration. The leader stops writing before that: its right to write counts
from the moment at which it *sent* the last successful renewal, and is shorter than the lease.

    sent ────── may write ──────┤ renew_deadline          ├ duration: the earliest take-over

Example with the defaults: the leader sends a renewal at 0 s and is then cut off. It stops writing
at 8 s. A standby that observed the renewal at 2 s takes the lease at 14 s.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any, Final

from canary.errors import CanaryError, ConflictError
from canary.interfaces import Clock
from canary.kube.objects import LEASES, Object, Objects
from canary.kube.retrying import RetryPolicy
from canary.kube.timing import Stopper
from canary.kube.transport import RequestTimeouts

_log = logging.getLogger(__name__)

ELECTION: Final = RetryPolicy(RequestTimeouts(connect=2.0, read=3.0), attempts=1)
"""For the elector's requests: one that hangs must not delay the next renewal."""
_RELEASED: Final = 1
"""Duration in seconds of a released lease, as client-go writes it."""


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """The times of a lease in seconds: `duration` > `renew_deadline` > `retry`.

    A standby observes a renewal up to `retry` late, so it takes over at most `duration + retry`
    after the last renewal: 14 s, where client-go's defaults of 15/10/2 give 17 s.
    """

    duration: float = 12.0
    renew_deadline: float = 8.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_deadline < self.duration:
            raise ValueError(f"expected 0 < retry < renew_deadline < duration, found {self}")


@dataclass(frozen=True, slots=True)
class LeaseName:
    """The Lease, and the identity of this replica: its pod's name and a random suffix."""

    namespace: str
    name: str
    identity: str


@dataclass(frozen=True, slots=True)
class LeaderCallbacks:
    """Called in the elector's thread when leadership begins and ends."""

    started: Callable[[], None]
    """This replica leads; must return immediately."""
    stopped: Callable[[], None]
    """This replica no longer leads: ends all work, then returns, and the lease is released."""


class Elector:
    """Acquires and renews the lease until stopped; `run` belongs in a thread of its own.

    `objects` is a client with the retry policy ELECTION, without a fence.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # each is one thing that a test replaces
        self,
        objects: Objects,
        lease: LeaseName,
        callbacks: LeaderCallbacks,
        clock: Clock,
        stopper: Stopper,
        terms: LeaseTerms | None = None,
    ) -> None:
        self._objects = objects
        self._lease = lease
        self._callbacks = callbacks
        self._clock = clock
        self._stopper = stopper
        self._terms = terms or LeaseTerms()
        self._until: float | None = None
        """When the right to write ends, by the local clock; None while the lease is not held."""
        self._held: Object | None = None
        """The lease as last written, which is renewed without reading it."""
        self._observed: tuple[object, float] = (None, 0.0)
        """The last observed state of the lease, and when it changed, by the local clock."""
        self._leader = ""
        self._leading = False

    @property
    def leader(self) -> str:
        """The holder of the lease as last observed; empty when nobody holds it."""
        return self._leader

    def holds(self) -> bool:
        """Return whether this replica may write now."""
        return self.remaining() > 0

    def remaining(self) -> float:
        """Return for how many seconds this replica may still write; 0 or less: it may not."""
        until = self._until
        return 0.0 if until is None else until - self._stopper.timing.now()

    def run(self) -> None:
        """Acquire the lease, lead, and start again when it is lost; return when stopped."""
        while not self._stopper.sleep(self.acquire_or_renew()):
            pass
        self.resign()

    def acquire_or_renew(self) -> float:
        """Try to acquire or renew the lease once; return seconds until the next step."""
        wait = self._try_contend()
        if self.holds() and not self._leading:
            _log.info("leading as %s", self._lease.identity)
            self._leading = True
            self._callbacks.started()
        elif self._leading and not self.holds():
            _log.warning("the lease %s is lost", self._lease.name)
            self._stop_leading()
        return min(wait, self.remaining()) if self._leading else wait

    def resign(self) -> None:
        """End all work and release the lease, so that a standby can take it without waiting."""
        if self._leading:
            self._stop_leading()
            self._release_lease()

    def _stop_leading(self) -> None:
        self._leading = False
        self._callbacks.stopped()  # it may write until `remaining` is 0
        self._until = None

    def _try_contend(self) -> float:
        """Acquire or renew the lease if possible; return seconds until the next try."""
        try:
            return self._try_to_hold()
        except CanaryError as error:
            self._held = None  # read it again
            if not isinstance(error, ConflictError):  # another replica was faster, which is normal
                _log.warning("cannot acquire or renew the lease %s: %s", self._lease.name, error)
            return self._retry_delay()

    def _try_to_hold(self) -> float:
        found = self._held or self._read_lease()
        sent = self._stopper.timing.now()
        if found is None:
            self._record_held(self._create_lease(), sent)
        elif (left := self._seconds_until_free(found)) > 0:
            self._held = self._until = None
            return min(left, self._retry_delay())
        else:
            self._record_held(
                self._write_lease(found, self._build_spec(found), self._terms.duration), sent
            )
        return self._retry_delay()

    def _read_lease(self) -> Object | None:
        return self._objects.get(LEASES, self._lease.namespace, self._lease.name)

    def _seconds_until_free(self, found: Object) -> float:
        """Return seconds until the lease can be acquired; 0 when it is free or already held."""
        spec = found.get("spec") or {}
        now = self._stopper.timing.now()
        if self._observed[0] != spec:
            self._observed = (spec, now)
        self._leader = spec.get("holderIdentity") or ""
        if self._leader in {"", self._lease.identity}:
            return 0.0
        duration = max(float(spec.get("leaseDurationSeconds") or 0), self._terms.duration)
        return max(0.0, self._observed[1] + duration - now)

    def _record_held(self, lease: Object, sent: float) -> None:
        self._held = lease
        self._observed = (lease["spec"], sent)
        self._leader = self._lease.identity
        self._until = sent + self._terms.renew_deadline

    def _build_spec(self, found: Object) -> dict[str, Any]:
        """Return the lease's spec with this replica as its holder."""
        old = found.get("spec") or {}
        now = format_micro_time(self._clock.now())
        ours = old.get("holderIdentity") == self._lease.identity
        transitions = int(old.get("leaseTransitions") or 0)
        return {
            **old,
            "holderIdentity": self._lease.identity,
            "acquireTime": old.get("acquireTime", now) if ours else now,
            "renewTime": now,
            "leaseTransitions": transitions if ours else transitions + 1,
        }

    def _create_lease(self) -> Object:
        spec = self._build_spec({}) | {"leaseDurationSeconds": ceil(self._terms.duration)}
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._lease.name, "namespace": self._lease.namespace},
            "spec": spec | {"leaseTransitions": 0},
        }
        return self._objects.create(LEASES, self._lease.namespace, body)

    def _write_lease(self, found: Object, spec: dict[str, Any], duration: float) -> Object:
        version = found["metadata"]["resourceVersion"]
        patch = (
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {
                "op": "add",
                "path": "/spec",
                "value": spec | {"leaseDurationSeconds": ceil(duration)},
            },
        )
        return self._objects.patch(LEASES, self._lease.namespace, self._lease.name, patch)

    def _release_lease(self) -> None:
        try:
            found = self._read_lease()
            if found and (found.get("spec") or {}).get("holderIdentity") == self._lease.identity:
                spec = self._build_spec(found) | {"holderIdentity": ""}
                self._write_lease(found, spec, _RELEASED)
        except CanaryError as error:
            _log.warning(
                "cannot release the lease %s, it expires by itself: %s", self._lease.name, error
            )
        self._held, self._leader = None, ""

    def _retry_delay(self) -> float:
        """Return `retry` less some jitter; never more, as the take-over time depends on it."""
        return self._terms.retry * random.uniform(0.8, 1.0)  # noqa: S311


def format_micro_time(seconds: float) -> str:
    """Format a MicroTime: the API refuses fewer than six digits, which isoformat may write."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
