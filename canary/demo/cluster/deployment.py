"""A Deployment of processes: replicas of one build, restarts, rolling updates and pausing.

It behaves like a cluster's Deployment, ReplicaSet and kubelet together, as far as a release can
tell: a dead instance restarts (at once, then with a growing delay), a changed build rolls out one
instance at a time unless paused, and an instance leaves the router before it stops.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from canary.core.snapshot import Pod
from canary.demo.cluster.instances import Build, Instance, StartInstance, start_instance
from canary.demo.cluster.processes import Supervisor

RESTART_BACKOFF = (0.0, 1.0, 2.0, 5.0, 10.0)
"""Seconds before the first, second, … restart of an instance."""
DRAIN_SECONDS = 1.5
"""Seconds between removing an instance from the router and stopping it."""


def template_hash(build: Build) -> str:
    """Return a name for a build, as the template hash names a version in a cluster."""
    text = repr(sorted(asdict(build).items()))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


@dataclass
class ReplicaSlot:
    """A slot for one instance; it corresponds to a pod."""

    name: str
    build: Build
    seed: int
    instance: Instance | None = None
    ready_since: float | None = None
    restarts: int = 0
    start_at: float = 0.0
    leaving_since: float | None = None


class ProcessDeployment:
    """Instances of one build. It changes only in `tick`."""

    def __init__(  # noqa: PLR0913 - what a Deployment is made of
        self,
        supervisor: Supervisor,
        name: str,
        *,
        dsn: str,
        build: Build,
        replicas: int,
        held: bool = False,
        seed: int = 0,
        start: StartInstance = start_instance,
    ) -> None:
        self.name = name
        self.build = build
        self.replicas = replicas
        self.held = held
        self._supervisor = supervisor
        self._start = start
        self._dsn = dsn
        self._seed = seed
        self._count = 0
        self._slots: list[ReplicaSlot] = []
        self._running = build
        """The build of running instances, and of new ones while paused."""
        self._stopper = ThreadPoolExecutor(4, thread_name_prefix=f"stops-{name}")

    def tick(self, now: float) -> None:
        """Start, restart, roll, drain and stop instances. `now` is seconds since the epoch."""
        if not self.held:
            self._running = self.build
        self._start_missing(now)
        for slot in self._slots:
            self._restart_slot(slot, now)
            self._check_readiness(slot, now)
        self._remove_surplus(now)
        self._stop_drained(now)

    def restore_build(self, build: Build) -> None:
        """Select this build, and replace instances of other builds even while paused."""
        self.build = self._running = build

    def endpoints(self) -> list[str]:
        """Return the base URLs of the instances that get requests."""
        return [slot.instance.url for slot in self._list_serving() if slot.instance is not None]

    def serving(self) -> dict[str, Build]:
        """Return the build of each instance that gets requests, by name."""
        return {slot.name: slot.build for slot in self._list_serving()}

    def instances(self) -> list[Instance]:
        """Return all instances that have a process."""
        return [slot.instance for slot in self._slots if slot.instance is not None]

    def pods(self) -> tuple[Pod, ...]:
        """Return the instances that are not being removed, as pods."""
        return tuple(
            Pod(slot.name, slot.ready_since is not None, slot.ready_since, slot.restarts)
            for slot in self._list_staying()
        )

    @property
    def template(self) -> str:
        """Hash of the selected build."""
        return template_hash(self.build)

    @property
    def running(self) -> str | None:
        """Hash of the build that all instances run; None during a rolling update."""
        slots = self._slots
        ready = all(slot.ready_since is not None for slot in slots)
        whole = ready and len(slots) == self.replicas
        builds = {slot.build for slot in slots}
        return template_hash(builds.pop()) if whole and len(builds) == 1 else None

    def close(self) -> None:
        """Wait until the instances being removed have stopped."""
        self._stopper.shutdown()

    def _list_staying(self) -> list[ReplicaSlot]:
        return [slot for slot in self._slots if slot.leaving_since is None]

    def _list_serving(self) -> list[ReplicaSlot]:
        return [slot for slot in self._list_staying() if slot.ready_since is not None]

    def _start_missing(self, now: float) -> None:
        current, old = self._list_current(), self._list_old()
        starting = sum(slot.ready_since is None for slot in current)
        # A rolling update has a surge of 1; the first rollout starts all instances at once.
        room = 1 - starting if old else self.replicas
        for _ in range(min(room, self.replicas - len(current))):
            self._count += 1
            name = f"{self.name}-{template_hash(self._running)[:4]}-{self._count}"
            self._slots.append(
                ReplicaSlot(name, self._running, self._seed + self._count, start_at=now)
            )

    def _restart_slot(self, slot: ReplicaSlot, now: float) -> None:
        if slot.instance is not None and not slot.instance.child.alive:
            self._supervisor.forget(slot.instance.child)
            delay = RESTART_BACKOFF[min(slot.restarts, len(RESTART_BACKOFF) - 1)]
            slot.instance, slot.ready_since = None, None
            slot.restarts += 1
            slot.start_at = now + delay
        if slot.instance is None and now >= slot.start_at and slot.leaving_since is None:
            slot.instance = self._start(
                self._supervisor, slot.name, dsn=self._dsn, build=slot.build, seed=slot.seed
            )

    def _check_readiness(self, slot: ReplicaSlot, now: float) -> None:
        if slot.ready_since is None and slot.instance is not None and slot.instance.ready():
            slot.ready_since = now

    def _remove_surplus(self, now: float) -> None:
        """Remove old instances one by one as new ones become ready, then surplus instances."""
        serving = len(self._list_serving())
        for slot in self._list_old():
            if slot.ready_since is None or serving > self.replicas:
                slot.leaving_since = now
                serving -= slot.ready_since is not None
        for slot in self._list_current()[self.replicas :]:
            slot.leaving_since = now

    def _list_old(self) -> list[ReplicaSlot]:
        return [slot for slot in self._list_staying() if slot.build != self._running]

    def _list_current(self) -> list[ReplicaSlot]:
        return [slot for slot in self._list_staying() if slot.build == self._running]

    def _stop_drained(self, now: float) -> None:
        for slot in list(self._slots):
            if slot.leaving_since is None or now - slot.leaving_since < DRAIN_SECONDS:
                continue
            self._slots.remove(slot)
            if slot.instance is not None:
                self._stopper.submit(self._supervisor.forget, slot.instance.child)
