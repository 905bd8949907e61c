"""A Deployment of processes behaves as one in a cluster does, as far as a release can tell."""

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise

import pytest

from canary.demo.cluster.deployment import DRAIN_SECONDS, ProcessDeployment, template_hash
from canary.demo.cluster.instances import Build

OLD, NEW = Build(label="v1"), Build(label="v2")


class Process:
    """A child that lives until somebody ends it."""

    def __init__(self) -> None:
        self.alive = True

    def stop(self) -> None:
        """Ends it."""
        self.alive = False


class Served:
    """An instance that is ready when its build says so."""

    def __init__(self, name: str, build: Build) -> None:
        self.name = name
        self.url = f"http://{name}"
        self.build = build
        self.child = Process()

    def ready(self) -> bool:
        """A build called `never` is not."""
        return self.child.alive and self.build.label != "never"


class Keeper:
    """Forgets children as the supervisor does."""

    def forget(self, child: Process) -> None:
        """Stops it."""
        child.stop()


@pytest.fixture
def deployment() -> Iterator[ProcessDeployment]:
    """Three replicas of the old build, ready."""

    def start(_supervisor: object, name: str, *, dsn: str, build: Build, seed: int) -> Served:  # noqa: ARG001
        return Served(name, build)

    one = ProcessDeployment(Keeper(), "auth", dsn="", build=OLD, replicas=3, start=start)
    with closing(one):
        one.tick(0)
        yield one


def ticks(deployment: ProcessDeployment, start: float, seconds: float) -> Iterator[float]:
    """Time in small steps; the state can be looked at after each."""
    now = start
    while now < start + seconds:
        deployment.tick(now)
        yield now
        now += 0.5


def test_a_changed_build_does_not_roll_while_held(deployment: ProcessDeployment) -> None:
    """Held means that nothing moves; the wish is remembered."""
    deployment.held = True
    deployment.build = NEW
    for _ in ticks(deployment, 1, 20):
        assert {slot.build for slot in deployment._slots} == {OLD}
    assert (deployment.template, deployment.running) == (template_hash(NEW), template_hash(OLD))


def test_a_roll_never_has_fewer_ready_than_wanted(deployment: ProcessDeployment) -> None:
    """One more at a time, and an old one goes only when a new one is ready."""
    deployment.build = NEW
    for _ in ticks(deployment, 1, 30):
        assert len(deployment.endpoints()) >= 3
        assert len(deployment._list_staying()) <= 4
    assert deployment.running == template_hash(NEW)


def test_a_build_that_never_gets_ready_leaves_the_old_ones_alone(
    deployment: ProcessDeployment,
) -> None:
    """The roll stops at its first step."""
    deployment.build = Build(label="never")
    for _ in ticks(deployment, 1, 30):
        assert len(deployment.endpoints()) == 3
    assert sum(slot.build != OLD for slot in deployment._slots) == 1
    assert deployment.running is None


def test_put_back_removes_what_nobody_vetted_while_held(deployment: ProcessDeployment) -> None:
    """The vetted instances stay as they are; the others go."""
    before = deployment.endpoints()
    deployment.build = Build(label="never")
    list(ticks(deployment, 1, 5))
    deployment.held = True
    deployment.restore_build(OLD)
    list(ticks(deployment, 6, 5))
    assert deployment.endpoints() == before
    assert deployment.running == template_hash(OLD)


def test_a_dead_instance_is_started_again_with_a_growing_delay(
    deployment: ProcessDeployment,
) -> None:
    """At once the first time, then later and later; the restarts are counted."""
    slot = deployment._slots[0]
    started = []
    for now in ticks(deployment, 1, 8):
        if slot.instance is not None and slot.instance.child.alive:
            started.append(now)
            slot.instance.child.stop()
    gaps = [later - sooner for sooner, later in pairwise(started)]
    assert gaps == sorted(gaps)
    assert gaps[0] < gaps[-1]
    assert deployment.pods()[0].restarts >= 3


def test_an_instance_leaves_the_router_before_it_is_stopped(deployment: ProcessDeployment) -> None:
    """First out of the endpoints, later stopped."""
    leaving = deployment._slots[2].instance
    deployment.replicas = 2
    deployment.tick(1)
    assert leaving is not None
    assert leaving.url not in deployment.endpoints()
    assert leaving.child.alive
    deployment.tick(1 + DRAIN_SECONDS)
    deployment.close()
    assert not leaving.child.alive
