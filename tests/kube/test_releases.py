"""CanaryReleases as custom resources: what is read, what is written, what people ask for."""

from collections.abc import Mapping
from typing import Any

import pytest

from canary.api import (
    CheckStatus,
    HistoryEntry,
    Intent,
    Phase,
    Reason,
    Release,
    Result,
    Skip,
    Status,
)
from canary.api.judge_state import JudgeState, RatioState
from canary.api.status import Condition
from canary.core.snapshot import ReleaseRequest, Verb
from canary.errors import ConflictError, NotFoundError, UsageError
from canary.interfaces import Key, Notice
from canary.kube.event_writer import KubeNotifier
from canary.kube.objects import EVENTS, RELEASES, Kind, Object
from canary.kube.workloads.names import FINALIZER, REQUEST
from tests.kube.fake_cluster import FakeCluster
from tests.kube.fixtures_release import (
    KEY,
    NAMESPACE,
    RELEASE,
    ReleaseOnFakeCluster,
    build_deployment,
)

FULL = Status(
    phase=Phase.PROGRESSING,
    intent=Intent.ADVANCE,
    stable_hash="v1",
    conditions=(Condition(type="Ready", status="False", reason="Holding"),),
    release=Release(template="v2", started_at=1.5, replicas=4, checks=(CheckStatus(name="smoke"),)),
    judge=JudgeState(ratios={"errors": RatioState(until=1.5)}),
    history=(
        HistoryEntry(
            template="v1", result=Result.PROMOTED, reason=Reason.PROMOTED, started_at=0, ended_at=1
        ),
    ),
)


def raw(stage: ReleaseOnFakeCluster) -> Object:
    """The resource as it is in the cluster."""
    found = stage.cluster.get(RELEASES, NAMESPACE, "auth")
    assert found is not None
    return found


def test_a_status_comes_back_as_it_was_written() -> None:
    """Through JSON and the API server; what is None is absent."""
    stage = ReleaseOnFakeCluster()
    stage.releases.write_status(stage.resource(), FULL)
    assert stage.resource().status == FULL
    written = raw(stage)["status"]
    assert "rejectedHash" not in written
    assert written["judge"]["ratios"] == {"errors": {"until": 1.5, "alone": False, "bound": ""}}
    assert written["conditions"][0]["lastTransitionTime"] == ""


def test_a_status_is_written_only_over_the_one_that_was_read() -> None:
    """Compare-and-swap: whoever was quicker wins, the other looks again."""
    stage = ReleaseOnFakeCluster()
    resource = stage.resource()
    stage.releases.write_status(resource, FULL)
    with pytest.raises(ConflictError):
        stage.releases.write_status(resource, Status())
    assert stage.resource().status == FULL


def test_a_status_that_the_operator_wrote_is_not_parsed_again() -> None:
    """The judge's state is large; whoever else writes is read again."""
    stage = ReleaseOnFakeCluster()
    releases = stage.releases
    releases.write_status(releases.read(KEY), FULL)
    following = FULL.model_copy(update={"message": "Next."})
    releases.write_status(releases.read(KEY), following)
    assert releases.read(KEY).status is following
    longer = {"op": "add", "path": "/spec/bake", "value": "7m"}
    stage.cluster.edit(RELEASES, NAMESPACE, "auth", [longer])
    resource = releases.read(KEY)
    assert (resource.spec.bake, resource.status) == (420.0, following)
    releases.write_status(resource, FULL)
    assert (releases.read(KEY).spec.bake, releases.read(KEY).status) == (420.0, FULL)


class ForgetfulCluster(FakeCluster):
    """A server whose CanaryReleases have no `message`, as an older definition may be."""

    def replace_status(self, kind: Kind, body: Mapping[str, Any]) -> Object:
        status = {name: value for name, value in body["status"].items() if name != "message"}
        return super().replace_status(kind, {**body, "status": status})


def test_a_status_is_what_the_server_has_stored_of_it() -> None:
    """Not what was sent, if the server dropped a field."""
    stage = ReleaseOnFakeCluster()
    stage.cluster = ForgetfulCluster()
    stage.cluster.create(RELEASES, NAMESPACE, build_deployment(RELEASE))
    releases = stage.releases
    for _ in range(2):
        releases.write_status(releases.read(KEY), FULL.model_copy(update={"message": "Lost."}))
        assert releases.read(KEY).status == FULL


def test_what_is_not_there_cannot_be_read() -> None:
    """The release is gone."""
    with pytest.raises(NotFoundError, match="no CanaryRelease other in prod"):
        ReleaseOnFakeCluster().releases.read(Key(NAMESPACE, "other"))


def test_a_release_that_is_being_deleted_says_since_when() -> None:
    """Our finalizer keeps it until it is let go; doing that twice is fine."""
    stage = ReleaseOnFakeCluster()
    change = {"op": "add", "path": "/metadata/finalizers", "value": ["other/one", FINALIZER]}
    stage.cluster.edit(RELEASES, NAMESPACE, "auth", [change])
    stage.cluster.delete(RELEASES, NAMESPACE, "auth", "Background")
    resource = stage.resource()
    assert resource.deleting_since == 0.0
    stage.releases.remove_finalizer(resource)
    stage.releases.remove_finalizer(resource)
    assert raw(stage)["metadata"]["finalizers"] == ["other/one"]
    stage.cluster.edit(RELEASES, NAMESPACE, "auth", [change | {"value": [FINALIZER]}])
    stage.releases.remove_finalizer(resource)
    stage.releases.remove_finalizer(resource)
    assert stage.cluster.get(RELEASES, NAMESPACE, "auth") is None


REQUESTS = [
    pytest.param(
        '{"verb": "promote", "id": "1"}', ReleaseRequest(Verb.PROMOTE, "1"), id="a promotion"
    ),
    pytest.param(
        '{"verb": "abort", "id": "x", "by": "me"}',
        ReleaseRequest(Verb.ABORT, "x", by="me"),
        id="abort",
    ),
    pytest.param(
        '{"verb": "promote", "id": "1", "skip": "Analysis", "reason": "auth is down"}',
        ReleaseRequest(Verb.PROMOTE, "1", skip=Skip.ANALYSIS, reason="auth is down"),
        id="past the analysis",
    ),
    pytest.param(
        '{"verb": "promote", "id": "1", "skip": "Analysis"}',
        None,
        id="past the analysis without a reason",
    ),
    pytest.param(
        '{"verb": "promote", "id": "1", "skip": "Everything", "reason": "x"}',
        None,
        id="an unknown thing to skip",
    ),
    pytest.param(
        '{"verb": "undo", "id": "1", "to": "abc"}',
        ReleaseRequest(Verb.UNDO, "1", to="abc"),
        id="undo",
    ),
    pytest.param('{"verb": "undo", "id": "1", "to": 3}', None, id="undo to a number"),
    pytest.param("promote", None, id="no JSON"),
    pytest.param("[]", None, id="a list"),
    pytest.param('{"verb": "explode", "id": "1"}', None, id="no such verb"),
    pytest.param('{"verb": "promote"}', None, id="no id"),
    pytest.param('{"verb": "promote", "id": 7}', None, id="an id that is a number"),
    pytest.param('{"verb": ["promote"], "id": "1"}', None, id="a verb that is a list"),
]


@pytest.mark.parametrize(("text", "request_"), REQUESTS)
def test_people_ask_by_annotation(text: str, request_: ReleaseRequest | None) -> None:
    """What can be understood is taken; the rest is left alone, and said."""
    stage = ReleaseOnFakeCluster()
    change = {"op": "add", "path": "/metadata/annotations", "value": {REQUEST: text}}
    stage.cluster.edit(RELEASES, NAMESPACE, "auth", [change])
    assert stage.resource().request == request_
    assert ["is ignored" in words for words in stage.warned] == [True] * (request_ is None)


def broken() -> ReleaseOnFakeCluster:
    """A release whose steps fall."""
    stage = ReleaseOnFakeCluster()
    steps = [{"weight": 20}, {"weight": 5}]
    change = {"op": "replace", "path": "/spec/steps", "value": steps}
    stage.cluster.edit(RELEASES, NAMESPACE, "auth", [change])
    return stage


def test_a_spec_that_cannot_be_followed_is_an_error_that_says_where() -> None:
    """One line, with the field and what is expected of it."""
    with pytest.raises(
        UsageError, match=r"spec\.steps\[1\]\.weight: expected a weight above"
    ) as caught:
        broken().resource()
    assert "\n" not in str(caught.value)


def test_a_spec_that_cannot_be_followed_is_said_once() -> None:
    """In status and conditions; the rest of the status stays; a second time nothing is written."""
    stage = ReleaseOnFakeCluster()
    stage.releases.write_status(stage.resource(), FULL)
    stage.releases.refuse(KEY, "steps fall", 100.0)
    writes = stage.cluster.writes
    stage.releases.refuse(KEY, "steps fall", 200.0)
    assert stage.cluster.writes == writes
    status = stage.resource().status
    assert (status.reason, status.message) == (Reason.INVALID_SPEC, "steps fall")
    assert status.release == FULL.release
    assert {one.type: one.status for one in status.conditions} == {
        "Ready": "False",
        "Stalled": "True",
    }


class Now:
    def now(self) -> float:
        return 7.25


def notice(**changes: Any) -> Notice:
    """The release moved on."""
    fields = {
        "key": KEY,
        "at": 5.5,
        "phase": Phase.PROGRESSING,
        "reason": Reason.HOLDING,
        "message": "Holds.",
        "weight": 5,
    }
    return Notice(**(fields | changes))


def events(cluster: FakeCluster, *notices: Notice, warnings: tuple[str, ...] = ()) -> list[Object]:
    """What people see after all that was told."""
    notifier = KubeNotifier(cluster, Now(), "pod-1")
    for one in notices:
        notifier.notify(one)
    for words in warnings:
        notifier.warn(KEY, Reason.REQUEST_IGNORED, words)
    notifier.close(10.0)
    return cluster.list(EVENTS, NAMESPACE, {})


def test_each_change_is_one_event() -> None:
    """About the release, with reason, sentence, weight and a time to the microsecond."""
    cluster = ReleaseOnFakeCluster().cluster
    (event,) = events(cluster, notice(), notice())
    assert (event["type"], event["reason"], event["action"]) == ("Normal", "Holding", "Progressing")
    assert event["note"] == "Holds. (weight 5 %)"
    assert event["eventTime"] == "1970-01-01T00:00:05.500000Z"
    assert event["regarding"]["kind"] == "CanaryRelease"
    assert event["regarding"]["uid"].startswith("uid-")
    assert len(events(cluster, notice())) == 1


def test_what_should_wake_people_is_a_warning() -> None:
    """A rollback, for one; and a long sentence is cut to what the API takes."""
    bad = notice(phase=Phase.ROLLING_BACK, reason=Reason.CRASH_LOOPING, message="x" * 2000)
    (event,) = events(ReleaseOnFakeCluster().cluster, bad)
    assert (event["type"], len(event["note"])) == ("Warning", 1024)


def test_the_same_warning_is_said_once() -> None:
    """Not in every pass; another sentence is another Event."""
    found = events(ReleaseOnFakeCluster().cluster, warnings=("a", "a", "b", "b"))
    assert sorted(event["note"] for event in found) == ["a", "b"]
    assert {event["eventTime"] for event in found} == {"1970-01-01T00:00:07.250000Z"}


def test_events_that_cannot_be_written_stop_nothing() -> None:
    """The API server is away for the first: the second is written."""
    cluster = ReleaseOnFakeCluster().cluster
    failures = iter((ConflictError("no"), UsageError("forbidden")))

    def away(verb: str, *_: object) -> None:
        if verb == "create" and (error := next(failures, None)):
            raise error

    cluster.before = away
    found = events(cluster, notice(), notice(weight=10), notice(weight=20))
    assert [event["note"] for event in found] == ["Holds. (weight 20 %)"]


def test_nothing_is_said_about_a_release_that_is_gone() -> None:
    """Its Events would belong to nobody."""
    cluster = ReleaseOnFakeCluster().cluster
    cluster.delete(RELEASES, NAMESPACE, "auth", "Background")
    assert events(cluster, notice()) == []
