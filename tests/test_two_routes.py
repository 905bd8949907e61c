"""A release whose Service is reached by two routes: up means both, down means at once."""

from canary.api import Phase, Reason
from canary.core.snapshot import Verb
from tests.in_memory_world import InMemoryWorld, SimulatedVersion
from tests.test_reconcile import deployed


def shifted(**settings: object) -> InMemoryWorld:
    """A release with traffic on both routes."""
    memory = deployed(two_routes=True, **settings)
    memory.run(300, until=Phase.PROGRESSING)
    for _ in range(60):
        if memory.weight and memory.second.weight:
            return memory
        memory.step()
    raise AssertionError(memory.trail)


def test_both_routes_get_each_weight_and_are_given_back() -> None:
    """Each weight is written once on each route."""
    memory = deployed(two_routes=True)
    memory.run(3000, until=Phase.READY)
    assert memory.status.reason is Reason.PROMOTED
    assert (memory.weight, memory.second.weight, memory.dropped) == (None, None, 0)
    for weight in (5, 25, 50, 100):
        written = sum(f"SetWeight(weight={weight})" in line for line in memory.trail)
        assert written == 2, "once on each route"


def test_a_step_waits_for_the_route_that_lags_and_the_status_names_it() -> None:
    """The clock of a step starts when both routes have its weight."""
    memory = shifted()
    memory.second.refuses = True
    memory.run(200)
    assert (memory.weight, memory.second.weight, memory.status.step) == (25, 5, 1)
    assert memory.status.step_started_at is None, "the step's clock stands"
    route = memory.snapshot().route
    assert route is not None
    assert route.detail == "HTTPRoute web has 25 %; GRPCRoute api has 5 %"
    memory.second.refuses = False
    memory.run(3000, until=Phase.READY)
    assert (memory.status.reason, memory.dropped) == (Reason.PROMOTED, 0)


def test_the_status_names_a_route_that_is_slow_to_confirm() -> None:
    """The message says what each route has."""
    memory = shifted()
    memory.second.slower = 30.0
    for _ in range(200):
        memory.step()
        if memory.weight == memory.second.weight == 25:
            break
    memory.run(15)
    assert memory.status.reason is Reason.SHIFTING_TRAFFIC
    assert memory.status.message == "HTTPRoute web has 25 %; GRPCRoute api has 25 %, not confirmed"


def test_a_route_that_cannot_be_written_does_not_hold_up_the_other_on_the_way_down() -> None:
    """The other route is at 0 at once; the canary stays until both are."""
    memory = shifted()
    memory.second.refuses = True
    memory.ask(Verb.ABORT)
    memory.run(20)
    assert (memory.weight, memory.second.weight) == (0, 5)
    assert memory.canaries, "they still get traffic by the other route"
    memory.second.refuses = False
    memory.run(120)
    assert (memory.weight, memory.second.weight) == (None, None)
    assert (memory.status.phase, memory.dropped) == (Phase.ROLLED_BACK, 0)


def test_a_route_that_cannot_be_read_does_not_hold_up_a_rollback() -> None:
    """What cannot be read is taken to have what it was meant to have."""
    memory = shifted(versions={"v2": SimulatedVersion(errors=0.5)})
    memory.second.unreadable = True
    memory.run(120)
    assert (memory.weight, memory.second.weight) == (0, 5)
    memory.second.unreadable = False
    memory.run(120)
    assert (memory.weight, memory.second.weight, memory.canaries) == (None, None, [])
    assert memory.status.phase is Phase.ROLLED_BACK


def test_a_route_that_goes_in_mid_release_does_not_hold_up_a_rollback() -> None:
    """A route that is gone sends nothing to the canary."""
    memory = shifted()
    memory.second.gone, memory.second.weight = True, None
    memory.ask(Verb.ABORT)
    memory.run(120)
    assert (memory.weight, memory.canaries) == (None, [])
    assert memory.status.phase is Phase.ROLLED_BACK


def test_nothing_starts_while_a_route_is_missing() -> None:
    """All routes must be there before a release starts."""
    memory = deployed(two_routes=True)
    memory.second.gone = True
    memory.run(60)
    assert memory.status.reason is Reason.ROUTE_NOT_FOUND


def test_a_route_that_somebody_resets_is_put_right_once_then_contested() -> None:
    """As with one route, nobody is fought."""
    memory = shifted()
    memory.run(20)
    memory.second.weight = 0
    memory.step()
    memory.run(5)
    assert memory.second.weight == memory.weight
    memory.run(20)
    memory.second.weight = 0
    memory.run(20)
    assert (memory.status.reason, memory.weight) == (Reason.CONTESTED, 0)
