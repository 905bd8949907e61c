"""Who of several replicas may write: one Lease, renewed or lost.

Other people's clocks are not believed: a lease has run out when *we* have seen no renewal for its
duration. Our own right to write ends before anybody else can think so: it counts from the moment
at which the last good renewal was *sent*, and is shorter than the lease.

    sent ────── may write ──────┤ renew_deadline          ├ duration: the soonest anybody else can
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
"""For the elector's requests: one that hangs must not take the renewal after it along."""
_RELEASED: Final = 1
"""Seconds of a lease that was given back, as client-go writes it."""


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """Of a lease; seconds. `duration` > `renew_deadline` > `retry`.

    A standby sees a renewal up to `retry` late, so it takes over `duration + retry` after the
    leader's last word at the latest: 14 s, where client-go's 15/10/2 make 17 s.
    """

    duration: float = 12.0
    renew_deadline: float = 8.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_deadline < self.duration:
            raise ValueError(f"0 < retry < renew_deadline < duration is expected, found {self}")


@dataclass(frozen=True, slots=True)
class LeaseName:
    """Which Lease, and who we are: unique, such as the pod's name and a random part."""

    namespace: str
    name: str
    identity: str


@dataclass(frozen=True, slots=True)
class LeaderCallbacks:
    """What to do at the turns; called in the elector's thread."""

    started: Callable[[], None]
    """We lead: must return at once."""
    stopped: Callable[[], None]
    """We do not any more: ends all work, then returns; the lease is given back after that."""


class Elector:
    """Contends for the lease until stopped; `run` in a thread of its own.

    Its `objects` is a client under the policy ELECTION, without a fence.
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
        """Until when we may write, by our own clock; None when we do not hold the lease."""
        self._held: Object | None = None
        """The lease as we wrote it last, to be renewed without reading it."""
        self._seen: tuple[object, float] = (None, 0.0)
        """The lease as last seen to change, and when, by our own clock."""
        self._leader = ""
        self._leading = False

    @property
    def leader(self) -> str:
        """Who holds the lease, as far as we know; empty when nobody does."""
        return self._leader

    def holds(self) -> bool:
        """Whether we may write now."""
        return self.remaining() > 0

    def remaining(self) -> float:
        """Seconds for which we may still write; 0 or less when we may not."""
        until = self._until
        return 0.0 if until is None else until - self._stopper.timing.now()

    def run(self) -> None:
        """Waits for the lease, leads, and waits again when it is lost; returns when stopped."""
        while not self._stopper.sleep(self.step()):
            pass
        self.resign()

    def step(self) -> float:
        """Contends for the lease or renews it once; returns seconds until the next step."""
        wait = self._turn()
        if self.holds() and not self._leading:
            _log.info("leading as %s", self._lease.identity)
            self._leading = True
            self._callbacks.started()
        elif self._leading and not self.holds():
            _log.warning("the lease %s is lost", self._lease.name)
            self._leave()
        return min(wait, self.remaining()) if self._leading else wait

    def resign(self) -> None:
        """Ends all work and gives the lease back, so that a standby need not wait for its end."""
        if self._leading:
            self._leave()
            self._give_back()

    def _leave(self) -> None:
        self._leading = False
        self._callbacks.stopped()  # may still write while `remaining` lasts
        self._until = None

    def _turn(self) -> float:
        """Takes or renews the lease if it can be; seconds until it is worth another try."""
        try:
            return self._contend()
        except CanaryError as error:
            self._held = None  # read it again
            if not isinstance(error, ConflictError):  # somebody was quicker: that is daily life
                _log.warning("the lease %s: %s", self._lease.name, error)
            return self._pause()

    def _contend(self) -> float:
        found = self._held or self._read()
        sent = self._stopper.timing.now()
        if found is None:
            self._took(self._create(), sent)
        elif (left := self._left(found)) > 0:
            self._held = self._until = None
            return min(left, self._pause())
        else:
            self._took(self._write(found, self._spec(found), self._terms.duration), sent)
        return self._pause()

    def _read(self) -> Object | None:
        return self._objects.get(LEASES, self._lease.namespace, self._lease.name)

    def _left(self, found: Object) -> float:
        """Seconds until the lease can be taken; 0 when it is ours or free."""
        spec = found.get("spec") or {}
        now = self._stopper.timing.now()
        if self._seen[0] != spec:
            self._seen = (spec, now)
        self._leader = spec.get("holderIdentity") or ""
        if self._leader in {"", self._lease.identity}:
            return 0.0
        duration = max(float(spec.get("leaseDurationSeconds") or 0), self._terms.duration)
        return max(0.0, self._seen[1] + duration - now)

    def _took(self, lease: Object, sent: float) -> None:
        self._held = lease
        self._seen = (lease["spec"], sent)
        self._leader = self._lease.identity
        self._until = sent + self._terms.renew_deadline

    def _spec(self, found: Object) -> dict[str, Any]:
        """Ours, from what is there."""
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

    def _create(self) -> Object:
        spec = self._spec({}) | {"leaseDurationSeconds": ceil(self._terms.duration)}
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._lease.name, "namespace": self._lease.namespace},
            "spec": spec | {"leaseTransitions": 0},
        }
        return self._objects.create(LEASES, self._lease.namespace, body)

    def _write(self, found: Object, spec: dict[str, Any], duration: float) -> Object:
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

    def _give_back(self) -> None:
        try:
            found = self._read()
            if found and (found.get("spec") or {}).get("holderIdentity") == self._lease.identity:
                spec = self._spec(found) | {"holderIdentity": ""}
                self._write(found, spec, _RELEASED)
        except CanaryError as error:
            _log.warning("the lease %s runs out by itself: %s", self._lease.name, error)
        self._held, self._leader = None, ""

    def _pause(self) -> float:
        """Never longer than `retry`, so that what is promised of a take-over holds."""
        return self._terms.retry * random.uniform(0.8, 1.0)  # noqa: S311


def format_micro_time(seconds: float) -> str:
    """RFC 3339 with six digits: fewer, which Python's isoformat may write, are refused."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
