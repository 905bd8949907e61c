"""What people do past the judge, or back to a version that was stable: whole releases in memory."""

from dataclasses import replace
from itertools import pairwise

import pytest

from canary.api import Intent, Phase, Reason, Result, RollbackWindow, Skip
from canary.core.plan import ActResult, Plan
from canary.core.snapshot import Verb
from canary.observe import observe
from canary.status_update import update_status
from tests.in_memory_world import (
    KEY,
    RESTARTED,
    START,
    InMemoryWorld,
    SimulatedCrash,
    SimulatedVersion,
)
from tests.test_reconcile import deployed, ended

BROKEN = {"v1": SimulatedVersion(errors=0.5), "v2": SimulatedVersion(errors=0.0)}
WHY = {"skip": Skip.ANALYSIS, "reason": "auth is down", "by": "ada"}


def everywhere(memory: InMemoryWorld, template: str) -> bool:
    """All pods run this template, and nothing of a release is left."""
    pods = {pod.template for pod in memory.pods}
    return pods == {template} and memory.weight is None and memory.canary_template is None


@pytest.mark.parametrize("wait", [0, 3, 40], ids=["preparing", "checking", "progressing"])
def test_a_person_skips_the_analysis_while_a_release_is_in_flight(wait: int) -> None:
    """All traffic in one step, then promoted, with who and why in the history."""
    memory = deployed(versions=BROKEN)
    memory.step()
    memory.run(wait)
    asked = memory.time
    memory.ask(Verb.PROMOTE, **WHY)
    ended(memory, 600)
    assert everywhere(memory, "v2")
    assert memory.time - asked < 120
    entry = memory.status.history[0]
    assert (entry.result, entry.reason) == (Result.PROMOTED, Reason.PROMOTED)
    assert entry.override is not None
    assert (entry.override.by, entry.override.reason) == ("ada", "auth is down")
    assert entry.message == "ada skipped the analysis: auth is down"


def test_a_person_skips_the_analysis_of_a_paused_release() -> None:
    """Stable is broken and the release waits at its deadline: nothing has to be deleted."""
    memory = ended(
        deployed(versions={"v1": SimulatedVersion(errors=0.5), "v2": SimulatedVersion(errors=0.5)}),
        4000,
    )
    assert memory.status.phase is Phase.PAUSED
    memory.ask(Verb.PROMOTE, **WHY)
    memory.run(200, until=Phase.READY)
    assert everywhere(memory, "v2")


def test_a_person_skips_the_analysis_of_a_rejected_template() -> None:
    """The held template needs no new apply."""
    memory = ended(deployed(versions={"v2": SimulatedVersion(errors=0.2)}))
    assert memory.status.phase is Phase.ROLLED_BACK
    memory.ask(Verb.PROMOTE, **WHY)
    memory.run(300, until=Phase.READY)
    assert everywhere(memory, "v2")
    assert memory.status.history[0].override is not None


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        pytest.param(SimulatedVersion(crashes=True), Reason.CRASH_LOOPING, id="it crashes"),
        pytest.param(
            SimulatedVersion(errors=1.0), Reason.CANARY_OUTAGE, id="it fails every request"
        ),
        pytest.param(
            SimulatedVersion(ready_after=1e9), Reason.NEVER_READY, id="it never becomes ready"
        ),
    ],
)
def test_what_protects_stays_when_the_analysis_is_skipped(
    version: SimulatedVersion, reason: Reason
) -> None:
    """A person skips the judge, not the protection of users."""
    memory = deployed(versions={"v2": version})
    memory.step()
    memory.ask(Verb.PROMOTE, **WHY)
    ended(memory, 600)
    assert (memory.status.phase, memory.status.reason) == (Phase.ROLLED_BACK, reason)
    assert {pod.template for pod in memory.pods} == {"v1"}


def test_skipping_the_steps_keeps_the_judge() -> None:
    """A good version is promoted from its present step, a bad one is still rolled back."""
    good = deployed()
    good.run(30)
    good.ask(Verb.PROMOTE, skip=Skip.STEPS, reason="small change", by="ada")
    ended(good, 600)
    weights = {entry.peak_weight for entry in good.status.history}
    assert everywhere(good, "v2")
    assert weights == {100}
    assert not [line for line in good.trail if "SetWeight(weight=50)" in line]
    bad = deployed(versions={"v2": SimulatedVersion(errors=0.1)})
    bad.run(30)
    bad.ask(Verb.PROMOTE, skip=Skip.STEPS, reason="small change", by="ada")
    ended(bad, 600)
    assert bad.status.phase is Phase.ROLLED_BACK


def promoted() -> InMemoryWorld:
    """v1 was stable until a moment ago; v2 is."""
    return ended(deployed())


def test_a_template_that_was_stable_in_the_window_comes_back_without_steps() -> None:
    """A revert of the last version is everywhere within two minutes, and no canary is made."""
    memory = promoted()
    memory.tick(60)
    memory.deploy("v1")
    applied = memory.time
    memory.step()
    memory.run(300, until=Phase.READY)
    assert everywhere(memory, "v1")
    assert memory.time - applied < 120
    assert (memory.status.reason, memory.status.history[0].result) == (
        Reason.RETURNED_TO_STABLE,
        Result.PROMOTED,
    )
    assert memory.dropped == 0


@pytest.mark.parametrize(
    ("window", "pause"),
    [
        pytest.param(RollbackWindow(releases=0), 60, id="no window"),
        pytest.param(RollbackWindow(within=300), 600, id="too long ago"),
    ],
)
def test_outside_the_window_a_template_goes_through_the_steps(
    window: RollbackWindow, pause: int
) -> None:
    """It was stable once, but the world has changed since."""
    memory = promoted()
    memory.spec = memory.spec.model_copy(update={"rollback_window": window})
    memory.tick(pause)
    memory.deploy("v1")
    memory.step()
    assert memory.status.intent is Intent.ADVANCE


def test_undo_goes_back_to_the_version_before() -> None:
    """The undone version is rejected: applying it again does not start it by itself."""
    memory = promoted()
    memory.ask(Verb.UNDO, by="ada")
    memory.step()
    memory.run(300, until=Phase.ROLLED_BACK)
    assert everywhere(memory, "v1")
    assert (memory.status.stable_hash, memory.status.rejected_hash) == ("v1", "v2")
    assert memory.status.history[0].message == "ada rolled back from template v2 to v1."
    memory.deploy("v2")
    memory.run(60)
    assert memory.status.intent is Intent.REST


def test_undo_names_the_version_to_go_back_to() -> None:
    """The one before the last."""
    memory = promoted()
    memory.deploy("v3")
    ended(memory)
    assert memory.status.stable_hash == "v3"
    memory.ask(Verb.UNDO, to="v1")
    memory.step()
    memory.run(300, until=Phase.ROLLED_BACK)
    assert everywhere(memory, "v1")


def test_a_restart_makes_new_pods_of_the_stable_version_without_a_release() -> None:
    """No canary, no weight; the template with the restart's annotation is the stable one."""
    memory = promoted()
    before = {pod.name for pod in memory.pods}
    memory.ask(Verb.RESTART, by="ada")
    memory.step()
    memory.run(300, until=Phase.READY)
    assert everywhere(memory, f"v2{RESTARTED}")
    assert not before & {pod.name for pod in memory.pods}
    assert memory.status.stable_hash == f"v2{RESTARTED}"
    assert memory.status.reason is Reason.RESTARTED
    assert not [line for line in memory.trail[-20:] if "EnsureCanary" in line]


def test_a_template_that_comes_during_a_restart_is_put_back() -> None:
    """Nobody analyzed it."""
    memory = promoted()
    memory.ask(Verb.RESTART)
    memory.step()
    memory.deploy("v9")
    memory.run(300, until=Phase.READY)
    assert "v9" not in {pod.template for pod in memory.pods}


SCRIPTS = [
    pytest.param(Verb.PROMOTE, WHY, id="skip the analysis"),
    pytest.param(Verb.UNDO, {}, id="undo"),
    pytest.param(Verb.RESTART, {}, id="restart"),
]


@pytest.mark.parametrize(("verb", "details"), SCRIPTS)
def test_dying_after_any_write_leads_to_the_same_end(verb: Verb, details: dict[str, str]) -> None:
    """Each request is carried out once, whatever the point of a crash."""

    def play(die_after: int | None) -> InMemoryWorld:
        memory = promoted()
        if verb is Verb.PROMOTE:
            memory.deploy("v3")
            memory.step()
        memory.ask(verb, **details)
        memory.writes, memory.die_after = 0, die_after
        end = memory.time + 600
        while memory.time < end:
            try:
                memory.step()
            except SimulatedCrash:
                continue
            if memory.status.intent is Intent.REST and memory.status.handled_request:
                break
        return memory

    whole = play(None)
    for point in range(1, whole.writes + 1):
        died = play(point)
        assert everywhere(died, whole.pods[0].template), (point, died.trail[-8:])
        assert died.status.reason is whole.status.reason
        assert len(died.status.history) == len(whole.status.history)


def test_figures_alone_are_written_every_ten_seconds() -> None:
    """Decisions at once; in between the judge's state is kept by reading the range again."""
    memory = deployed()
    memory.run(45)
    assert memory.status.phase is Phase.PROGRESSING
    writes = [
        float(line.partition(" ")[0])
        for line in memory.trail
        if "status Advance GatheringEvidence" in line or "status Advance Holding" in line
    ]
    assert memory.status.written_at is not None
    assert memory.status.written_at <= memory.time
    apart = [later - sooner for sooner, later in pairwise(writes)]
    assert all(gap >= 9 for gap in apart if gap > 1), (writes, START)


def test_that_the_judge_has_begun_is_written_at_once() -> None:
    """Otherwise each pass of the first ten seconds reads an hour of stable's past again."""
    memory = deployed()
    memory.run(20)
    snapshot = observe(memory.world, KEY)
    waiting = memory.status.model_copy(update={"judged_until": None, "written_at": memory.time})
    snapshot = replace(snapshot, resource=replace(snapshot.resource, status=waiting))
    plan = Plan(waiting.model_copy(update={"judged_until": memory.time}))
    assert update_status(memory.world, snapshot, plan, ActResult()).status != waiting
    assert memory.status.judged_until == memory.time


@pytest.mark.parametrize("broken", [0.1, 0.3, 0.5, 1.0])
def test_a_fix_gets_through_while_stable_is_broken(broken: float) -> None:
    """Everywhere within three minutes of the canary being ready, without anybody's help."""
    memory = deployed(
        versions={"v1": SimulatedVersion(errors=broken), "v2": SimulatedVersion(errors=0.0)},
        rps=50.0,
    )
    memory.tick(90)
    memory.step()
    memory.run(30, until=Phase.PROGRESSING)
    ready = memory.time
    memory.run(400, until=Phase.READY)
    assert everywhere(memory, "v2"), memory.trail[-5:]
    assert memory.time - ready <= 180
    reasons = {notice.reason for notice in memory.notices}
    assert Reason.REPLACING_UNHEALTHY_STABLE in reasons


def test_a_stable_that_breaks_in_mid_release_is_replaced() -> None:
    """It was well when the release began."""
    memory = deployed(rps=50.0)
    memory.step()
    memory.run(40)
    memory.versions["v1"] = SimulatedVersion(errors=0.3)
    broke = memory.time
    memory.run(600, until=Phase.READY)
    assert everywhere(memory, "v2")
    assert memory.time - broke <= 300


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("broken", [0.06, 0.3, 1.0])
def test_a_canary_as_bad_as_a_broken_stable_is_never_promoted(broken: float, seed: int) -> None:
    """A fault that both share holds; nobody is rolled out by it."""
    versions = {"v1": SimulatedVersion(errors=broken), "v2": SimulatedVersion(errors=broken)}
    memory = deployed(versions=versions, rps=50.0, seed=seed)
    memory.tick(90)
    memory.step()
    memory.run(240)
    assert memory.status.intent is Intent.ADVANCE
    assert memory.status.step == 0


def test_a_burst_of_stables_promotes_nobody() -> None:
    """Half of stable's requests fail for one toleratedIncident: no reason to hurry."""
    memory = deployed(rps=50.0)
    memory.step()
    memory.run(60)
    memory.versions["v1"] = SimulatedVersion(errors=0.5)
    memory.run(30)
    memory.versions["v1"] = SimulatedVersion()
    memory.run(30)
    assert Reason.REPLACING_UNHEALTHY_STABLE not in {notice.reason for notice in memory.notices}
