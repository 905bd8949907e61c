"""A canary that is not ready loses its traffic, whatever the metrics say: whole releases."""

import pytest

from canary.api import Intent, Phase, Reason
from canary.core.snapshot import Verb
from canary.reconcile import reconcile
from tests.in_memory_world import KEY, InMemoryWorld, SimulatedCrash, SimulatedVersion
from tests.test_reconcile import deployed, ended

LONG = 10_000.0


def at_weight(weight: int, **world: object) -> InMemoryWorld:
    """A release whose canary has this weight, confirmed and with its clock running."""
    memory = deployed(**world)
    for _ in range(2000):
        memory.step()
        if memory.status.weight == weight and memory.status.step_started_at is not None:
            return memory
    raise AssertionError(memory.trail[-5:])


@pytest.mark.parametrize("monitoring", ["up", "silent", "down"])
def test_no_ready_pod_takes_the_weight_away_in_the_next_pass(monitoring: str) -> None:
    """With metrics, without any, and while the monitoring is down."""
    memory = at_weight(25)
    memory.monitoring = monitoring
    memory.lose(9, LONG)
    memory.step()
    assert (memory.weight, memory.status.reason) == (0, Reason.CANARY_NOT_READY)
    assert memory.status.intent is Intent.ADVANCE


def test_pods_that_come_back_in_time_get_the_weight_of_their_step_again() -> None:
    """Without a new Pass: the step had been allowed; and the release ends as it would have."""
    memory = at_weight(25)
    memory.lose(9, 10)
    memory.step()
    assert memory.weight == 0
    memory.run(30)
    assert (memory.weight, memory.status.step) == (25, 1)
    assert ended(memory).status.reason is Reason.PROMOTED


def test_pods_that_stay_away_roll_the_release_back() -> None:
    """Longer than the tolerated incident is an outage, and nobody claims to know what it cost."""
    memory = at_weight(25)
    memory.lose(9, LONG)
    left = memory.time
    ended(memory)
    entry = memory.status.history[0]
    assert (memory.status.phase, entry.reason) == (Phase.ROLLED_BACK, Reason.CANARY_OUTAGE)
    assert memory.time - left < memory.spec.analysis.tolerated_incident + 20
    assert entry.errors_served is None


def test_pods_that_were_ready_while_the_operator_was_away_are_no_long_outage() -> None:
    """Two short outages, of which a restarting operator saw the start of both and no end."""
    memory = at_weight(25)
    memory.lose(9, 5)
    memory.step()
    assert memory.weight == 0
    memory.tick(60)  # the operator restarts
    assert all(pod.ready_since is not None for pod in memory.canaries)
    memory.lose(9, 5)
    memory.tick(2)
    memory.step()
    assert memory.status.intent is Intent.ADVANCE, memory.status.message
    assert memory.status.release is not None
    assert memory.status.release.outages == 2
    assert ended(memory).status.reason is Reason.PROMOTED


def test_pods_that_were_never_ready_while_the_operator_was_away_are_rolled_back() -> None:
    """The outage that the first pass after the restart sees is the one that began before."""
    memory = at_weight(25)
    memory.lose(9, LONG)
    memory.step()
    memory.tick(60)
    memory.step()
    assert (memory.weight, memory.status.reason) == (0, Reason.CANARY_OUTAGE)
    assert "for 1 min" in memory.status.message


def test_the_third_time_in_a_step_rolls_back() -> None:
    """Each time the pods were back within the tolerated incident."""
    memory = at_weight(25)
    for _ in range(2):
        memory.lose(9, 5)
        memory.step()
        assert memory.weight == 0
        memory.run(12)
        assert memory.weight == 25
    memory.lose(9, 5)
    memory.step()
    assert (memory.weight, memory.status.reason) == (0, Reason.CANARY_OUTAGE)
    assert memory.status.intent is Intent.ROLL_BACK


def test_fewer_ready_pods_than_the_weight_needs_lower_it_to_what_they_carry() -> None:
    """One of two pods carries a quarter of what four carry; both are ready: half of it again."""
    memory = at_weight(50)
    memory.lose(1, 15)
    memory.step()
    assert (memory.weight, memory.status.intent) == (25, Intent.ADVANCE)
    assert "1 of 2 canary pods are ready, which carry 25 %" in memory.status.message
    memory.run(40)
    assert memory.weight == 50


def test_no_step_passes_while_a_pod_is_not_ready() -> None:
    """One pod carries the 25 %, but the step waits for the other."""
    memory = at_weight(25)
    memory.lose(1, LONG)
    memory.run(55)
    assert (memory.weight, memory.status.step) == (25, 1)


def test_evicted_at_weight_100_before_the_roll_the_traffic_goes_back_to_stable() -> None:
    """Stable's old pods still stand; the target does not begin to roll."""
    memory = deployed()
    while not (memory.status.intent is Intent.PROMOTE and memory.weight == 100):
        memory.step()
    memory.lose(9, 20)
    memory.step()
    assert (memory.weight, memory.held) == (0, True)
    assert {pod.template for pod in memory.pods} == {"v1"}
    dropped = memory.dropped
    assert ended(memory).status.reason is Reason.PROMOTED
    assert memory.dropped <= dropped + 2 * memory.rps


def test_evicted_while_the_target_rolls_the_traffic_goes_to_the_target() -> None:
    """Its own strategy keeps enough of its pods; the canary gets everything back when it can."""
    memory = deployed()
    while memory.held or memory.status.intent is not Intent.PROMOTE:
        memory.step()
    memory.tick(2)
    memory.lose(9, 6)
    memory.step()
    assert memory.weight == 0
    assert ended(memory).status.reason is Reason.PROMOTED


def test_a_canary_that_never_comes_back_while_the_target_rolls_is_rolled_back() -> None:
    """The target goes back to the vetted version by its own strategy."""
    memory = deployed(replicas=12, versions={"v2": SimulatedVersion(ready_after=6)})
    while memory.held or memory.status.intent is not Intent.PROMOTE:
        memory.step()
    memory.tick(2)
    memory.lose(99, LONG)
    ended(memory)
    assert memory.status.history[0].reason is Reason.CANARY_OUTAGE
    assert {pod.template for pod in memory.pods} == {"v1"}


def test_dying_after_any_write_of_an_outage_leads_to_the_same_end() -> None:
    """The controller dies after every write that follows the loss of all pods, for good or not."""
    for seconds, reason in ((10.0, Reason.PROMOTED), (LONG, Reason.CANARY_OUTAGE)):
        for write in range(1, 12):
            memory = at_weight(25)
            memory.lose(9, seconds)
            memory.die_after = memory.writes + write
            with pytest.raises(SimulatedCrash):
                ended(memory)
            assert ended(memory).status.reason is reason, (write, memory.trail[-12:])


def test_an_autoscaler_that_grows_stable_grows_the_canary_and_keeps_its_floor() -> None:
    """Growth alone takes no traffic away; everything is carried by as many pods as stable has."""
    memory = at_weight(25)
    memory.scale(12)
    memory.run(12)
    assert (len(memory.canaries), memory.floor, memory.weight) == (3, 12, 25)
    assert memory.status.release is not None
    assert memory.status.release.replicas == 12
    while memory.status.intent is not Intent.BAKE and memory.weight != 100:
        memory.step()
    assert len(memory.canaries) == 12
    assert ended(memory).status.reason is Reason.PROMOTED
    assert memory.dropped == 0


@pytest.mark.parametrize("weight", [25, 50])
def test_c09_capacity_that_manifests_take_away_is_restored(weight: int) -> None:
    """Applied again in mid-release, with fewer replicas and the autoscaler's old floor."""
    memory = at_weight(weight)
    for _ in range(2):
        memory.shrink(2, floor=2)
        memory.run(5)
        assert (memory.replicas, memory.floor, memory.weight) == (4, 4, weight)
    assert ended(memory).status.reason is Reason.PROMOTED
    assert len(memory.pods) == 4


@pytest.mark.parametrize("aborts", [True, False])
def test_an_analysis_that_fails_keeps_no_protection_waiting(*, aborts: bool) -> None:
    """State that nobody can read: an abort and the loss of all pods still take the weight away."""
    memory = at_weight(25)
    memory.status = memory.status.model_copy(update={"judge": {"errors": 7}})
    if aborts:
        memory.ask(Verb.ABORT)
    else:
        memory.lose(9, LONG)
    memory.tick(6)
    reconcile(memory.world, KEY)
    assert memory.weight == 0
    assert memory.status.intent is (Intent.ROLL_BACK if aborts else Intent.ADVANCE)
