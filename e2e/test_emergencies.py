"""A fix gets through while the stable version is broken, and nothing else does."""

from threading import Event

import pytest

from canary.api import Intent, Reason, Result
from e2e.fixtures_releases import place
from e2e.harness.auth import AuthService
from e2e.harness.kubectl import now
from e2e.harness.measurements import Measurements, write_measurements
from e2e.harness.recorder import CANARY
from e2e.harness.scenario import Scenario, start_scenario
from e2e.test_disruptions import FULL
from e2e.test_releases import label, ready

__all__ = ["place"]
LONGEST = 180.0
"""Seconds from the canary's first ready pod until the fix runs everywhere."""


@pytest.mark.parametrize(
    "flaw",
    [
        pytest.param("errors:0.3", id="30-percent", marks=FULL),
        pytest.param("errors:1", id="100-percent"),
    ],
)
def test_a_fix_gets_through_while_stable_is_broken(place: str, flaw: str):
    """The first version fails its users; steps of 5, 20 and 50 % with a minimum in between."""
    broken = AuthService(flaw=flaw, abrupt=True)
    with start_scenario(place, version=broken) as stage:
        stage.ship(broken.next("v2"))
        entry = stage.ends(Result.PROMOTED, seconds=300)
        seconds = now() - first_ready(stage)
        stage.nothing_left()
        assert {label(pod) for pod in stage.pods() if ready(pod)} == {"v2"}
    reasons = {one.what.get("reason") for one in stage.film.statuses}
    write_measurements(
        Measurements(
            f"fix, stable fails {100 * float(flaw.partition(':')[2]):.0f} %",
            entry["result"],
            entry["reason"],
            dropped=sum(one.version != broken.label for one in stage.load.failures),
            sent=stage.load.sent,
            note=f"everywhere {seconds:.0f} s after the canary was ready",
        )
    )
    assert Reason.REPLACING_UNHEALTHY_STABLE in reasons
    assert seconds <= LONGEST


def first_ready(stage: Scenario) -> float:
    """When the canary first had a ready endpoint."""
    return next(one.at for one in stage.film.endpoints[CANARY] if one.what.ready)


@FULL
def test_a_canary_as_bad_as_a_broken_stable_is_not_promoted(place: str):
    """Both fail 30 %: the weight stays, and the status says that stable is unhealthy."""
    broken = AuthService(flaw="errors:0.3", abrupt=True)
    with start_scenario(place, version=broken) as stage:
        stage.ship(broken.next("v2", "errors:0.3"))
        stage.weight_reaches(5)
        Event().wait(180)
        status, weight = stage.film.status, stage.film.weight
        stage.ask("abort")
        stage.ends(Result.ROLLED_BACK)
    note = f"at {weight} % after 180 s"
    write_measurements(
        Measurements("stable and canary fail 30 %", "Advance", status["reason"], note=note)
    )
    assert status["intent"] == Intent.ADVANCE
    assert status["reason"] == Reason.STABLE_UNHEALTHY
