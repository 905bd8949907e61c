"""What a notice means: its kind, its headline, what it triggers and what it ends."""

import pytest

from canary.api import Intent, Phase, Reason, Status, Verdict
from canary.core.request_counts import BadRequests
from canary.interfaces import Notice
from canary.notify.events import EventKind, Incident, ReleaseEvent, event_from_notice, is_subscribed
from tests.in_memory_world import KEY as WORLD
from tests.in_memory_world import InMemoryWorld, SimulatedVersion
from tests.notify.fixtures_messages import (
    AT,
    HOLDING,
    KEY,
    LEAK,
    PODS,
    changed,
    ended,
    entry,
    leak,
    metrics,
    notice,
    paused,
    promoted,
    ref,
    release,
    rolled_back,
    rolling_back,
)


def event(before: Status, after: Status) -> ReleaseEvent:
    """Of a pass that turned one into the other."""
    found = event_from_notice(notice(before, after))
    assert found is not None
    return found


def test_the_one_message_of_the_story() -> None:
    """Where it was stopped, what it does, and that nobody felt it."""
    found = event_from_notice(leak())
    assert found is not None
    assert found.headline == (
        "auth rolled back at 5 %: leaks 1 connection per 4,900 requests; no user noticed"
    )
    assert found.message == LEAK
    assert (found.weight, found.pods) == (5, PODS)
    assert found.served == BadRequests(0.0, 24_500.0, "ratio")


HEADLINES = [
    pytest.param(
        HOLDING,
        rolling_back(analysis=metrics(bad=12)),
        "auth rolled back at 5 %: leaks 1 connection per 4,900 requests; "
        "12 of its 24,500 requests failed",
        id="bad requests are counted",
    ),
    pytest.param(
        HOLDING,
        rolling_back(analysis=metrics(total=0)),
        "auth rolled back at 5 %: leaks 1 connection per 4,900 requests",
        id="where nobody counted, nobody claims that no user noticed",
    ),
    pytest.param(
        HOLDING,
        rolling_back(Reason.WORSE_THAN_STABLE),
        "auth rolled back at 5 %: the canary fails more often than stable; no user noticed",
        id="other reasons in their own sentence",
    ),
    pytest.param(
        changed(HOLDING, weight=0, release=release(peak_weight=0)),
        rolling_back(Reason.CHECK_FAILED, release=release(peak_weight=0)),
        "auth rolled back before it got traffic: a check failed",
        id="before any traffic nobody could notice",
    ),
    pytest.param(
        changed(HOLDING, intent=Intent.BAKE, weight=0),
        rolling_back(Reason.ABOVE_LIMIT, analysis=metrics(bad=40)),
        "auth rolled back after its promotion: the canary fails more often than the limit allows; "
        "40 of its 24,500 requests failed",
        id="while baking",
    ),
    pytest.param(
        HOLDING,
        paused(),
        "auth waits for a person at 5 %: the release did not end in time and waits for a person",
        id="stuck",
    ),
    pytest.param(
        HOLDING,
        changed(HOLDING, phase=Phase.WAITING_FOR_APPROVAL, reason=Reason.APPROVAL_NEEDED),
        "auth waits for approval at 5 %",
        id="approval",
    ),
    pytest.param(
        *promoted(), "auth promoted: the new version passed every step", id="the good end"
    ),
]


@pytest.mark.parametrize(("before", "after", "headline"), HEADLINES)
def test_headlines(before: Status, after: Status, headline: str) -> None:
    """One line says what happened, at which share, why, and who felt it."""
    assert event(before, after).headline == headline


KINDS = [
    pytest.param(HOLDING, rolling_back(), EventKind.ROLLBACK, True, id="a rollback is an incident"),
    pytest.param(HOLDING, paused(), EventKind.STUCK, True, id="so is a release that is stuck"),
    pytest.param(
        HOLDING, rolling_back(Reason.ABORTED), EventKind.ROLLBACK, False,
        id="who aborts a release knows of it",
    ),
    pytest.param(
        HOLDING, paused(Reason.PAUSED_BY_PERSON), EventKind.OTHER, False, id="who pauses it as well"
    ),
    pytest.param(
        HOLDING, rolling_back(Reason.TEMPLATE_CHANGED), EventKind.OTHER, False,
        id="a newer version is no rollback",
    ),
    pytest.param(*promoted(), EventKind.PROMOTION, False, id="a promotion"),
    pytest.param(
        changed(HOLDING, release=None, phase=Phase.READY), HOLDING, EventKind.START, False,
        id="the begin of a release",
    ),
    pytest.param(
        HOLDING, changed(HOLDING, reason=Reason.NO_DATA), EventKind.OTHER, False,
        id="silence for a while is not yet stuck",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "kind", "incident"), KINDS)
def test_kinds(before: Status, after: Status, kind: EventKind, incident: bool) -> None:  # noqa: FBT001
    """What happened, and whether somebody should be woken."""
    found = event(before, after)
    assert found.kind is kind
    assert (found.incident is not None) is incident


LEAKED = Incident(KEY, "5d9f01", Reason.CONNECTION_LEAK, EventKind.ROLLBACK)
LATE = Incident(KEY, "5d9f01", Reason.DEADLINE_EXCEEDED, EventKind.STUCK)
SLOW = Incident(KEY, "000000", Reason.ABOVE_LIMIT, EventKind.ROLLBACK)
HISTORY = (ended(Reason.CONNECTION_LEAK), ended(Reason.ABOVE_LIMIT, "000000"))
OVER = [
    pytest.param(HOLDING, rolling_back(), (), id="a rollback ends nothing"),
    pytest.param(*promoted(*HISTORY), (LEAKED, SLOW), id="a promotion ends all rollbacks"),
    pytest.param(
        *promoted(ended(Reason.CONNECTION_LEAK), promoted()[1].history[0], *HISTORY[1:]),
        (LEAKED,),
        id="but not those before the last promotion, which ended them",
    ),
    pytest.param(
        changed(rolled_back(), history=HISTORY),
        changed(HOLDING, reason=Reason.STARTED, history=HISTORY),
        (LEAKED,),
        id="a retry ends what it retries",
    ),
    pytest.param(
        changed(rolled_back(), history=HISTORY[1:]),
        changed(HOLDING, reason=Reason.STARTED, history=HISTORY[1:]),
        (),
        id="another version does not: nothing is known of it yet",
    ),
    pytest.param(paused(), HOLDING, (LATE,), id="who resumes has seen it"),
    pytest.param(paused(), rolling_back(Reason.ABORTED), (LATE,), id="who aborts as well"),
    pytest.param(paused(), changed(paused(), message="still"), (), id="it is still stuck"),
    pytest.param(
        changed(rolled_back(), history=HISTORY),
        changed(rolled_back(), history=HISTORY, phase=Phase.TERMINATING, reason=Reason.DELETED),
        (LEAKED, SLOW),
        id="a release that is deleted needs nobody",
    ),
]


@pytest.mark.parametrize(("before", "after", "over"), OVER)
def test_what_is_over(before: Status, after: Status, over: tuple[Incident, ...]) -> None:
    """By the status alone, so that a restart of the operator forgets no incident."""
    assert event(before, after).resolved == over


def test_an_incident_ends_under_the_name_it_began_with() -> None:
    """Told in the pass of the verdict, resolved from the history much later."""
    began = event(HOLDING, rolling_back())
    (over,) = event(*promoted(*rolled_back().history)).resolved
    assert began.incident is not None
    assert over.id == began.incident.id


def test_begin_and_end_of_a_rollback_are_the_same_news() -> None:
    """And the same version, tried again, is not."""
    begin, end = event(HOLDING, rolling_back()), event(rolling_back(), rolled_back())
    again = event(HOLDING, rolling_back(release=release(started_at=AT + 60)))
    assert begin.id == end.id != again.id
    assert end.headline == begin.headline


WANTED = [
    pytest.param({}, EventKind.ROLLBACK, Reason.CONNECTION_LEAK, True, id="by default rollbacks"),
    pytest.param({}, EventKind.PROMOTION, Reason.PROMOTED, True, id="by default promotions"),
    pytest.param({}, EventKind.OTHER, Reason.STEP_PASSED, False, id="by default no steps"),
    pytest.param({}, EventKind.START, Reason.STARTED, False, id="by default no beginnings"),
    pytest.param(
        {"groups": ["pool"]}, EventKind.ROLLBACK, Reason.CONNECTIONS_WAITING, True, id="pool reasons"
    ),
    pytest.param(
        {"groups": ["pool"]}, EventKind.ROLLBACK, Reason.CRASH_LOOPING, False, id="no other reasons"
    ),
    pytest.param(
        {"reasons": ["NoData"]}, EventKind.OTHER, Reason.NO_DATA, True, id="a reason by its name"
    ),
    pytest.param(
        {"reasons": ["NoData"]}, EventKind.ROLLBACK, Reason.ABOVE_LIMIT, False,
        id="with reasons alone there is no default",
    ),
    pytest.param(
        {"groups": ["promotion"], "reasons": ["CrashLooping"]}, EventKind.ROLLBACK,
        Reason.CRASH_LOOPING, True, id="reasons beside groups",
    ),
    pytest.param({"groups": ["all"]}, EventKind.OTHER, Reason.HOLDING, True, id="everything"),
]  # fmt: skip


@pytest.mark.parametrize(("filters", "kind", "reason", "told"), WANTED)
def test_routes(filters: dict, kind: EventKind, reason: Reason, told: bool) -> None:  # noqa: FBT001
    """Each receiver is told what it asks for."""
    assert is_subscribed(entry(slack=ref("slack"), **filters), kind, reason) is told


def test_every_pool_reason_goes_to_those_who_look_after_the_database() -> None:
    """All that a pool metric can fail with."""
    dba = entry(pagerduty=ref("pagerduty"), groups=["pool"])
    told = {one for one in Reason if is_subscribed(dba, EventKind.ROLLBACK, one)}
    assert told == {one for one in Reason if one.info.about_pool}
    assert {one.value for one in told} == {
        "PoolSaturated", "PoolExhausted", "ConnectionLeak", "ConnectionsWaiting",
    }  # fmt: skip


def test_a_notice_that_does_not_say_what_changed_is_no_news() -> None:
    """Nothing is made up."""
    bare = Notice(KEY, AT, Phase.READY, Reason.AT_REST, "Rests.", 0)
    assert event_from_notice(bare) is None


def told(memory: InMemoryWorld) -> list[ReleaseEvent]:
    """All event of a world, each once."""
    found = [event for one in memory.notices if (event := event_from_notice(one)) is not None]
    return list({one.id: one for one in reversed(found)}.values())[::-1]


def test_a_whole_bad_release_is_one_rollback() -> None:
    """From the real passes: one begin, steps, one rollback with its evidence, nothing twice."""
    memory = InMemoryWorld(versions={"v2": SimulatedVersion(errors=0.5)})
    memory.run(30)
    memory.deploy("v2")
    memory.run(3600, until=Phase.ROLLED_BACK)
    found = told(memory)
    (rollback,) = [one for one in found if one.kind is EventKind.ROLLBACK]
    assert [one.kind for one in found].count(EventKind.START) == 1
    assert rollback.incident is not None
    assert rollback.key == WORLD
    assert rollback.headline.startswith("auth rolled back at 5 %: ")
    assert "requests failed" in rollback.headline
    assert rollback.pods
    assert dict(rollback.evidence)["errors"]
    assert memory.status.analysis[0].verdict is Verdict.FAIL


def test_a_whole_good_release_is_one_promotion() -> None:
    """And a rollback before it is over by then."""
    memory = InMemoryWorld(versions={"v2": SimulatedVersion(errors=0.5)})
    memory.run(30)
    memory.deploy("v2")
    memory.run(3600, until=Phase.ROLLED_BACK)
    before = told(memory)
    memory.deploy("v3")
    memory.run(40)
    memory.run(3600, until=Phase.READY)
    (promotion,) = [one for one in told(memory) if one.kind is EventKind.PROMOTION]
    assert promotion.incident is None
    assert promotion.resolved == tuple(one.incident for one in before if one.incident is not None)
