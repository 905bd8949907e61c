"""Whole releases in a world in memory: each ends as it must, also when the controller dies."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.api import Intent, Phase, Reason, Verdict, load_release
from canary.core.plan import (
    DeleteCanary,
    EnsureCanary,
    PauseTarget,
    RestoreRoute,
    RestoreTemplate,
    ResumeTarget,
    SetWeight,
)
from canary.core.snapshot import Verb
from tests.in_memory_world import RELEASE, START, InMemoryWorld, SimulatedCrash, SimulatedVersion

ENDS = {Phase.READY, Phase.ROLLED_BACK, Phase.PAUSED}


def deployed(template: str = "v2", **world: object) -> InMemoryWorld:
    """A world in which v1 was adopted and another template was just applied."""
    memory = InMemoryWorld(**world)
    memory.run(30, until=Phase.READY)
    memory.tick(30)
    memory.deploy(template)
    return memory


def ended(memory: InMemoryWorld, seconds: float = 1200) -> InMemoryWorld:
    """The same world once the release has ended or waits for a person."""
    memory.step()
    end = memory.time + seconds
    while memory.time < end and memory.status.phase not in ENDS:
        memory.step()
    return memory


OUTCOMES = [
    pytest.param({}, Phase.READY, Reason.PROMOTED, id="a good version is promoted"),
    pytest.param(
        {"versions": {"v1": SimulatedVersion(errors=0.02), "v2": SimulatedVersion(errors=0.02)}},
        Phase.READY,
        Reason.PROMOTED,
        id="both at 2 %: promoted",
    ),
    pytest.param(
        {"versions": {"v2": SimulatedVersion(errors=0.05)}},
        Phase.ROLLED_BACK,
        Reason.WORSE_THAN_STABLE,
        id="5 % errors: rolled back",
    ),
    pytest.param(
        {"versions": {"v2": SimulatedVersion(errors=1.0)}},
        Phase.ROLLED_BACK,
        Reason.CANARY_OUTAGE,
        id="100 % errors: rolled back as an outage",
    ),
    pytest.param(
        {"versions": {"v2": SimulatedVersion(crashes=True)}},
        Phase.ROLLED_BACK,
        Reason.CRASH_LOOPING,
        id="crashing pods: rolled back",
    ),
    pytest.param(
        {"versions": {"v2": SimulatedVersion(ready_after=1e9)}},
        Phase.ROLLED_BACK,
        Reason.NEVER_READY,
        id="pods that never become ready: rolled back without any traffic",
    ),
    pytest.param(
        {"versions": {"v2": SimulatedVersion(out_of_memory=True)}},
        Phase.ROLLED_BACK,
        Reason.OUT_OF_MEMORY,
        id="pods killed for memory: rolled back",
    ),
    pytest.param(
        {"versions": {"v1": SimulatedVersion(errors=0.5), "v2": SimulatedVersion(errors=0.5)}},
        Phase.PAUSED,
        Reason.DEADLINE_EXCEEDED,
        id="stable fails as badly: held, and at the deadline a person is asked",
    ),
    pytest.param(
        {"rps": 0.0},
        Phase.PAUSED,
        Reason.NO_DATA,
        id="no traffic at all: waits, then pauses",
    ),
]


@pytest.mark.parametrize(("world", "phase", "reason"), OUTCOMES)
def test_a_release_ends_as_it_must(world: dict[str, object], phase: Phase, reason: Reason) -> None:
    """Each kind of version has one end and one reason, and no request fails because of us."""
    memory = ended(deployed(**world), seconds=4000)
    assert (memory.status.phase, memory.status.reason) == (phase, reason)
    if reason is not Reason.CRASH_LOOPING:  # there, requests meet pods that are gone by themselves
        assert memory.dropped == 0


def test_a_good_release_ends_with_the_new_version_everywhere() -> None:
    """Promoted: every pod runs v2, the route is the user's, the canary is gone, held again."""
    memory = ended(deployed())
    assert {pod.template for pod in memory.pods} == {"v2"}
    assert (memory.weight, memory.canary_template, memory.held, memory.floor) == (
        None,
        None,
        True,
        None,
    )
    assert memory.status.stable_hash == "v2"
    assert memory.status.history[0].result == "Promoted"


def test_a_release_begins_without_the_verdict_of_the_one_before() -> None:
    """At rest there is none either; a Pass that is shown belongs to the release that is shown."""
    memory = ended(deployed())
    assert (memory.status.phase, memory.status.verdict) == (Phase.READY, None)
    memory.deploy("v3")
    memory.step()
    assert (memory.status.phase, memory.status.verdict) == (Phase.PREPARING, None)


def test_a_bad_release_leaves_stable_alone() -> None:
    """Rolled back: no stable pod was touched, and the rejected template does not start again."""
    memory = deployed(versions={"v2": SimulatedVersion(errors=0.2)})
    before = [pod.name for pod in memory.pods]
    ended(memory)
    memory.run(120)
    assert [pod.name for pod in memory.pods] == before
    assert memory.status.rejected_hash == "v2"
    assert len(memory.status.history) == 1


def test_a_rejected_template_that_comes_again_is_still_said_to_be_rejected() -> None:
    """Rolled back, taken back (all is well), applied again: it does not start, and says why."""
    memory = ended(deployed(versions={"v2": SimulatedVersion(errors=1.0)}))
    memory.deploy("v1")
    memory.run(30)
    assert (memory.status.phase, memory.status.reason) == (Phase.READY, Reason.AT_REST)
    memory.deploy("v2")
    memory.run(30)
    assert (memory.status.phase, memory.status.reason) == (
        Phase.ROLLED_BACK,
        Reason.CANARY_OUTAGE,
    )
    assert memory.weight is None


def test_a_retry_starts_the_rejected_template_again() -> None:
    """After a retry the same template is released, and ends the same way."""
    memory = ended(deployed(versions={"v2": SimulatedVersion(errors=0.2)}))
    memory.ask(Verb.RETRY)
    ended(memory)
    assert len(memory.status.history) == 2


def test_silence_never_promotes_and_never_rolls_back() -> None:
    """Monitoring that is down for 40 s holds the weight; then the release goes on and ends well."""
    memory = deployed()
    memory.run(200, until=Phase.PROGRESSING)
    memory.run(15)
    memory.monitoring = "down"
    weight = memory.weight
    memory.run(40)
    assert (memory.weight, memory.status.reason) == (weight, Reason.MONITORING_UNAVAILABLE)
    memory.monitoring = "up"
    assert ended(memory).status.reason is Reason.PROMOTED


def test_what_happened_during_an_outage_of_monitoring_is_judged_afterwards() -> None:
    """The canary failed only while nobody could look: the catch-up finds it."""
    memory = deployed()
    memory.run(200, until=Phase.PROGRESSING)
    memory.run(20)
    memory.monitoring = "down"
    memory.versions["v2"] = SimulatedVersion(errors=0.5)
    memory.run(55)
    memory.versions["v2"] = SimulatedVersion()
    memory.monitoring = "up"
    memory.run(30)
    assert memory.status.history[0].result == "RolledBack"


TWO_METRICS = RELEASE.replace(
    "    - {name: errors,",
    "    - {name: second, ratio: {total: http_requests_total, bad: 'http_requests_total{code=\"5\"}'}}\n"
    "    - {name: errors,",
)


def test_a_metric_that_is_silent_at_first_loses_nothing() -> None:
    """One metric speaks 20 s later than the other: both have counted the same requests."""
    memory = deployed(spec=load_release(TWO_METRICS, "tests").spec)
    memory.mute = "second"
    memory.run(200, until=Phase.PROGRESSING)
    memory.run(20)
    memory.mute = ""
    memory.run(20)
    second, errors = (metric.canary_total for metric in memory.status.analysis)
    assert second == errors > 0


@pytest.mark.parametrize("interval", ["1s", "5s", "30s"])
def test_the_canary_is_drained_before_it_goes(interval: str) -> None:
    """Requests that linger after the route let go are finished, however rarely one looks."""
    spec = load_release(RELEASE.replace("interval: 5s", f"interval: {interval}"), "tests").spec
    memory = deployed(spec=spec, linger=25.0)
    ended(memory)
    assert (memory.status.reason, memory.dropped) == (Reason.PROMOTED, 0)


@pytest.mark.parametrize("interval", ["1s", "5s", "30s"])
def test_c08_a_rollback_drains_running_requests_as_a_promotion_does(interval: str) -> None:
    """An abort takes the weight away at once, and the canary's pods once they have answered."""
    spec = load_release(RELEASE.replace("interval: 5s", f"interval: {interval}"), "tests").spec
    memory = deployed(spec=spec, linger=25.0)
    memory.run(600, until=Phase.PROGRESSING)
    memory.run(60)
    memory.ask(Verb.ABORT)
    memory.step()
    assert (memory.weight, len(memory.canaries) > 0) == (0, True)
    ended(memory)
    assert (memory.status.reason, memory.dropped) == (Reason.ABORTED, 0)


def test_a_rollback_waits_no_longer_than_a_minute_for_a_canary_that_stays_busy() -> None:
    """Somebody who calls its pods directly must not keep a rejected version alive."""
    memory = deployed(linger=10_000.0)
    memory.run(600, until=Phase.PROGRESSING)
    memory.run(60)
    memory.ask(Verb.ABORT)
    memory.run(90)
    assert (memory.status.phase, memory.canaries) == (Phase.ROLLED_BACK, [])


@pytest.mark.parametrize("kind", ["down", "silent"])
def test_silence_past_the_patience_pauses_and_says_why(kind: str) -> None:
    """Nothing to go by for longer than the noDataTimeout: the release waits for a person."""
    memory = deployed(monitoring=kind)
    ended(memory)
    assert memory.status.phase is Phase.PAUSED
    assert memory.status.reason in {Reason.NO_DATA, Reason.MONITORING_UNAVAILABLE}
    memory.monitoring = "up"
    memory.ask(Verb.RESUME)
    memory.step()
    assert ended(memory).status.reason is Reason.PROMOTED


def test_a_newer_template_goes_through_weight_zero() -> None:
    """A template change in mid-release rolls back first, then the newer one is released."""
    memory = deployed()
    memory.run(300, until=Phase.PROGRESSING)
    memory.run(15)
    memory.deploy("v3")
    memory.run(600, until=Phase.PREPARING)
    assert (memory.status.canary_hash, memory.weight) == ("v3", None)
    assert ended(memory).status.stable_hash == "v3"


def test_going_back_to_the_stable_template_ends_the_release() -> None:
    """The user takes the change back: nothing is rejected, v1 goes on."""
    memory = deployed()
    memory.run(300, until=Phase.PROGRESSING)
    memory.deploy("v1")
    ended(memory)
    memory.run(30)
    assert (memory.status.phase, memory.status.reason) == (Phase.READY, Reason.AT_REST)


def test_unpausing_by_hand_is_put_back() -> None:
    """Somebody lets the unvetted template roll: vetted pods stay, unvetted ones go."""
    memory = deployed()
    memory.run(300, until=Phase.PROGRESSING)
    memory.held = False
    memory.tick(4)
    ended(memory)
    assert {pod.template for pod in memory.pods} == {"v1"}
    assert memory.status.history[0].reason is Reason.UNPAUSED_BY_HAND
    assert memory.dropped == 0


def test_a_weight_that_somebody_takes_away_is_put_right_once() -> None:
    """The second time the canary is held at 0 and the reason names the contest."""
    memory = deployed()
    memory.run(300, until=Phase.PROGRESSING)
    memory.run(10)
    memory.weight = None
    memory.run(10)
    assert memory.weight == 5
    memory.weight = None
    memory.run(10)
    assert (memory.status.reason, memory.weight) == (Reason.CONTESTED, 0)
    memory.ask(Verb.RESUME)
    memory.step()
    assert ended(memory).status.reason is Reason.PROMOTED


def test_a_weight_above_what_is_meant_is_lowered_at_once() -> None:
    """Nobody gives an unvetted version more than its step."""
    memory = deployed()
    memory.run(300, until=Phase.PROGRESSING)
    memory.weight = 80
    memory.step()
    assert (memory.weight or 0) <= 5


def test_deleting_the_resource_in_mid_release_puts_everything_back() -> None:
    """The route, the template and the Deployment are the user's again; no pod restarted."""
    memory = deployed()
    memory.run(300, until=Phase.PROGRESSING)
    before = [pod.name for pod in memory.pods]
    memory.deleting_since = memory.time
    memory.run(100)
    assert memory.gone
    assert (memory.weight, memory.canary_template, memory.held) == (None, None, False)
    assert (memory.template, [pod.name for pod in memory.pods]) == ("v1", before)
    assert memory.dropped == 0


APPROVED = RELEASE.replace("weight: 25, duration: 20s", "weight: 25, duration: 20s, approval: true")


def test_approval_is_waited_for_and_given_once() -> None:
    """The step passes, then nothing moves until a person promotes."""
    memory = deployed(spec=load_release(APPROVED, "tests").spec)
    memory.run(600, until=Phase.WAITING_FOR_APPROVAL)
    memory.run(60)
    assert (memory.status.phase, memory.weight) == (Phase.WAITING_FOR_APPROVAL, 25)
    memory.ask(Verb.PROMOTE)
    assert ended(memory).status.reason is Reason.PROMOTED


BAKED = RELEASE.replace("  deadline: 30m", "  bake: 10m\n  deadline: 30m")


def test_a_failure_in_the_bake_goes_back_to_the_version_before() -> None:
    """Promoted, then worse: an ordinary rolling update back, and the template is rejected."""
    memory = deployed(spec=load_release(BAKED, "tests").spec)
    memory.run(900, until=Phase.BAKING)
    memory.versions["v2"] = SimulatedVersion(errors=0.3)
    memory.run(400)
    assert {pod.template for pod in memory.pods} == {"v1"}
    assert (memory.status.stable_hash, memory.status.rejected_hash) == ("v1", "v2")


def test_a_person_may_go_back_during_the_bake() -> None:
    """Nothing has failed, but somebody knows better: the version before runs again."""
    memory = deployed(spec=load_release(BAKED, "tests").spec)
    memory.run(900, until=Phase.BAKING)
    memory.ask(Verb.ABORT)
    memory.run(60)
    assert {pod.template for pod in memory.pods} == {"v1"}
    assert (memory.status.phase, memory.status.reason) == (Phase.ROLLED_BACK, Reason.ABORTED)
    assert memory.status.rejected_hash == "v2"


@pytest.mark.parametrize(
    "fault", [SimulatedVersion(errors=0.3), None], ids=["it fails", "it is aborted"]
)
def test_dying_on_the_way_back_from_a_bake_leads_to_the_same_end(
    fault: SimulatedVersion | None,
) -> None:
    """The controller dies after each write of going back in turn: the version before runs."""

    def baking() -> InMemoryWorld:
        memory = deployed(spec=load_release(BAKED, "tests").spec)
        memory.run(900, until=Phase.BAKING)
        if fault is None:
            memory.ask(Verb.ABORT)
        else:
            memory.versions["v2"] = fault
        return memory

    quiet = baking()
    before = quiet.writes
    quiet.run(400)
    for write in range(1, quiet.writes - before + 1):
        memory = baking()
        memory.die_after = memory.writes + write
        with pytest.raises(SimulatedCrash):
            memory.run(400)
        memory.run(400)
        assert {pod.template for pod in memory.pods} == {"v1"}, memory.trail
        end = (memory.status.phase, memory.status.stable_hash, memory.status.rejected_hash)
        assert end == (Phase.ROLLED_BACK, "v1", "v2"), memory.trail


def test_a_quiet_bake_ends() -> None:
    """Nothing showed: the release is over."""
    memory = deployed(spec=load_release(BAKED, "tests").spec)
    memory.run(900, until=Phase.BAKING)
    memory.run(900)
    assert (memory.status.phase, memory.status.intent) == (Phase.READY, Intent.REST)


CHECKED = RELEASE.replace(
    "  steps:", "  checks: [{name: smoke, webhook: {url: 'http://check'}}]\n  steps:"
)


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (Verdict.PASS, Reason.PROMOTED),
        (Verdict.FAIL, Reason.CHECK_FAILED),
        (Verdict.UNAVAILABLE, Reason.CHECK_INCONCLUSIVE),
    ],
)
def test_checks_before_traffic(verdict: Verdict, reason: Reason) -> None:
    """Passed: on with it. Failed: rolled back without traffic. Neither: a person is asked."""
    memory = deployed(spec=load_release(CHECKED, "tests").spec, checks={"smoke": verdict})
    assert ended(memory).status.reason is reason
    if verdict is not Verdict.PASS:
        assert memory.served.get("v2", 0) == 0


def test_an_inconclusive_check_that_is_good_enough_still_goes_by_steps() -> None:
    """`onInconclusive: Promote` does not jump over the steps."""
    text = CHECKED.replace("  deadline: 30m", "  onInconclusive: Promote\n  deadline: 30m")
    memory = deployed(spec=load_release(text, "tests").spec, checks={"smoke": Verdict.UNAVAILABLE})
    memory.run(300, until=Phase.PROGRESSING)
    memory.run(5)
    assert memory.weight == 5


def test_another_interval_in_mid_release_counts_nothing_twice() -> None:
    """The range goes on from where it was judged."""
    memory = deployed()
    memory.run(200, until=Phase.PROGRESSING)
    memory.run(17)
    analysis = memory.spec.analysis.model_copy(update={"interval": 7.0})
    memory.spec = memory.spec.model_copy(update={"analysis": analysis})
    memory.run(30)
    counted = memory.status.analysis[0].canary_total
    assert counted <= sum(pod.total for pod in memory.canaries)


def test_at_rest_nothing_is_written() -> None:
    """An idle release costs no write at all."""
    memory = ended(deployed())
    memory.step()
    before = memory.writes
    memory.run(600)
    assert memory.writes == before


def test_notices_tell_the_story_once() -> None:
    """No notice is repeated, and the last one says how it ended."""
    memory = ended(deployed(versions={"v2": SimulatedVersion(errors=1.0)}))
    told = [(notice.phase, notice.reason, notice.weight) for notice in memory.notices]
    assert all(one != other for one, other in pairwise(told))
    assert memory.notices[-1].phase is Phase.ROLLED_BACK
    assert memory.notices[-1].at > START


# Whatever the point of a crash, the next pass reaches the same end.


def writes_of(**world: object) -> int:
    """How many writes a release takes without a crash."""
    memory = deployed(**world)
    before = memory.writes
    return ended(memory).writes - before


SCENES = {
    "good": {},
    "bad": {"versions": {"v2": SimulatedVersion(errors=0.5)}},
    "crashing": {"versions": {"v2": SimulatedVersion(crashes=True)}},
    "good on two routes": {"two_routes": True},
    "bad on two routes": {"two_routes": True, "versions": {"v2": SimulatedVersion(errors=0.5)}},
}


@pytest.mark.parametrize("name", SCENES)
def test_dying_after_any_write_leads_to_the_same_end(name: str) -> None:
    """The controller dies after every single write in turn; invariants hold throughout."""
    expected = ended(deployed(**SCENES[name])).status
    for write in range(1, writes_of(**SCENES[name]) + 1):
        memory = deployed(**SCENES[name])
        memory.die_after = memory.writes + write
        with pytest.raises(SimulatedCrash):
            ended(memory)
        memory.tick(7)
        ended(memory)
        end = (memory.status.phase, memory.status.reason, memory.status.stable_hash)
        assert end == (expected.phase, expected.reason, expected.stable_hash), memory.trail
        if name != "crashing":
            assert memory.dropped == 0, memory.trail


@pytest.mark.parametrize(
    "action", [SetWeight, EnsureCanary, RestoreRoute, ResumeTarget, DeleteCanary, PauseTarget]
)
def test_a_refused_write_is_decided_again(action: type) -> None:
    """A conflict stops the plan; the next pass looks again and reaches the same end."""
    memory = deployed()
    memory.refuse = [action, action]
    assert ended(memory).status.reason is Reason.PROMOTED


def test_a_write_that_is_refused_again_and_again_is_said_in_the_status() -> None:
    """The status says what is tried and what stands in the way, and steers nothing meanwhile."""
    memory = deployed()
    memory.run(300, until=Phase.PROGRESSING)
    memory.impossible = RestoreTemplate
    memory.held = False
    for _ in range(6):
        memory.step()
    assert memory.status.intent is Intent.ADVANCE
    assert memory.status.reason is Reason.UNPAUSED_BY_HAND
    assert "no ReplicaSet keeps it" in memory.status.message
    assert memory.notices[-1].reason is Reason.UNPAUSED_BY_HAND
    memory.impossible = None
    ended(memory)
    assert memory.status.reason is Reason.UNPAUSED_BY_HAND


def test_a_release_deleted_while_the_target_rolls_puts_the_target_back_before_the_route() -> None:
    """The canary has all of the traffic until stable's pods are whole again."""
    memory = deployed()
    while {pod.template for pod in memory.pods} != {"v1", "v2"}:
        memory.step()
    memory.deleting_since = memory.time
    while memory.weight == 100:
        memory.step()
    assert {pod.template for pod in memory.pods} == {"v1"}
    assert all(pod.ready_since is not None for pod in memory.pods)
    memory.run(60)
    assert (memory.gone, memory.weight, memory.template, memory.held) == (True, None, "v1", False)
    assert memory.dropped == 0


def test_a_target_that_cannot_go_back_does_not_keep_the_route() -> None:
    """What serves the users is put right even where the vetted template is lost."""
    memory = deployed()
    while {pod.template for pod in memory.pods} != {"v1", "v2"}:
        memory.step()
    memory.deleting_since, memory.impossible = memory.time, RestoreTemplate
    memory.run(150)
    assert (memory.gone, memory.weight) == (True, None)


def test_dying_in_the_middle_of_a_deletion() -> None:
    """A deletion that is cut short anywhere still puts everything back."""
    for write in range(1, 8):
        memory = deployed()
        memory.run(300, until=Phase.PROGRESSING)
        memory.deleting_since = memory.time
        memory.die_after = memory.writes + write
        try:
            memory.run(100)
        except SimulatedCrash:
            memory.run(100)
        assert memory.gone
        assert (memory.weight, memory.template, memory.held) == (None, "v1", False)


@given(
    errors=st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.3, 1.0]),
    events=st.lists(
        st.tuples(
            st.integers(0, 150),
            st.sampled_from(
                ["down", "up", "silent", "v2", "v3", "v1", "abort", "pause", "resume", "die", "0 %"]
            ),
        ),
        max_size=6,
    ),
)
@settings(max_examples=60, deadline=None)
def test_nothing_that_happens_breaks_a_promise(
    errors: float, events: list[tuple[int, str]]
) -> None:
    """Whatever people, monitoring and crashes do, every invariant holds after every write."""
    memory = deployed(
        versions={"v2": SimulatedVersion(errors=errors), "v3": SimulatedVersion(errors=errors)}
    )
    for wait, event in sorted(events):
        _survive(memory, wait / 4)
        match event:
            case "down" | "up" | "silent":
                memory.monitoring = event
            case "v1" | "v2" | "v3":
                memory.deploy(event)
            case "die":
                memory.die_after = memory.writes + 1
            case "0 %":
                memory.weight = None
            case _:
                memory.ask(Verb(event))
    _survive(memory, 60)
    assert memory.dropped == 0


def _survive(memory: InMemoryWorld, seconds: float) -> None:
    try:
        memory.run(seconds)
    except SimulatedCrash:
        memory.run(seconds)


CHECKS = """
  checks:
  - {name: smoke, webhook: {url: 'http://check'}}
  - {name: load, when: EachStep, webhook: {url: 'http://check'}}
  - {name: login, when: AfterPromotion, webhook: {url: 'http://check'}}
  steps:"""


def with_checks(**verdicts: Verdict) -> InMemoryWorld:
    """A release with a check at each moment; checks that are not named pass."""
    spec = load_release(RELEASE.replace("\n  steps:", CHECKS, 1), "tests").spec
    results = {"smoke": Verdict.PASS, "load": Verdict.PASS, "login": Verdict.PASS, **verdicts}
    return deployed(spec=spec, checks=results)


def test_checks_run_before_traffic_at_each_step_and_after_promotion() -> None:
    """Each at its moment: a step with its traffic, and the promoted version on all pods."""
    memory = ended(with_checks())
    assert memory.status.reason is Reason.PROMOTED
    order = [line.partition(": ")[2] for line in memory.trail]
    checking = [place for place, line in enumerate(order) if "ChecksRunning" in line]
    weights = [order.index(f"SetWeight(weight={weight})") for weight in (5, 25, 50)]
    for first, second in pairwise([0, *weights, len(order)]):
        assert any(first < place < second for place in checking), (first, second)


@pytest.mark.parametrize(
    ("check", "peak"),
    [
        pytest.param("smoke", 0, id="before traffic: no weight is written"),
        pytest.param("load", 5, id="at the first step: no second one"),
        pytest.param("login", 100, id="after promotion: back to the version before"),
    ],
)
def test_a_check_that_fails_rolls_back_at_its_moment(check: str, peak: int) -> None:
    """Whatever the metrics say."""
    memory = with_checks(**{check: Verdict.FAIL})
    memory.run(900, until=Phase.ROLLED_BACK)
    assert (memory.status.phase, memory.status.reason) == (Phase.ROLLED_BACK, Reason.CHECK_FAILED)
    assert memory.status.history[0].peak_weight == peak
    assert {pod.template for pod in memory.pods} == {"v1"}


def test_a_step_does_not_pass_before_its_check_has() -> None:
    """The judge is content, the check still runs: the weight stays."""
    memory = with_checks(load=Verdict.CONTINUE)
    memory.run(400)
    assert memory.status.reason is Reason.CHECKS_RUNNING
    assert memory.weight == 5
