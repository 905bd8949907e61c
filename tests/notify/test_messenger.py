"""From a notice to the receivers: who is told what, once, and that nobody holds anybody up."""

import base64
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from canary.api import Phase, Reason, Status
from canary.http.addresses import EVERYWHERE
from canary.interfaces import Key, Notice
from canary.kube.objects import EVENTS, RELEASES, SECRETS
from canary.kube.timing import SystemTiming
from canary.notify.config import NotifyFile
from canary.notify.dispatcher import FanOutNotifier, NotificationDispatcher
from canary.notify.formatters import Payload
from canary.notify.metrics import NotificationMetrics
from canary.notify.secrets import ClusterSecrets, SecretReader
from canary.notify.sender import DeliveryTimeouts, PayloadSender
from tests.kube.fake_cluster import FakeCluster
from tests.notify.fixtures_messages import (
    AT,
    HOLDING,
    KEY,
    InMemorySecrets,
    ScriptedAnswer,
    WebhookReceiver,
    changed,
    leak,
    notice,
    paused,
    promoted,
    ref,
    release,
    rolled_back,
    rolling_back,
)
from tests.operator.simulated_cluster import FastTiming, run_operator, start_cluster

SENTINEL = "S3NT1N3L"


class Now:
    """A second after it happened."""

    def now(self) -> float:
        return AT + 1


@dataclass
class Post:
    """A messenger at work."""

    messenger: NotificationDispatcher
    registry: CollectorRegistry
    warned: list[tuple[Key, Reason, str]]
    """Events."""

    def notify(self, *notices: Notice) -> None:
        for one in notices:
            self.messenger.notify(one)

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"canary_notification_{name}", labels) or 0.0


@contextmanager
def post(
    secrets: SecretReader,
    file: dict[str, Any] | None = None,
    *,
    fast: bool = True,
    address: str | None = None,
) -> Iterator[Post]:
    """With these receivers of the operator; the same secrets for them and for releases."""
    sender = PayloadSender(EVERYWHERE, DeliveryTimeouts(connect=2.0, read=0.4))

    def send(payload: Payload, now: float) -> None:
        sender.send(replace(payload, url=address) if address else payload, now)

    registry = CollectorRegistry()
    warned: list[tuple[Key, Reason, str]] = []
    messenger = NotificationDispatcher(
        NotifyFile.model_validate(file or {}),
        secrets,
        secrets,
        send,
        NotificationMetrics(registry),
        lambda key, reason, words: warned.append((key, reason, words)),
        Now(),
        FastTiming() if fast else SystemTiming(),
    )
    try:
        yield Post(messenger, registry, warned)
    finally:
        messenger.close(60.0 if fast else 3.0)


SLACK = {"slack": ref("slack")}


def slack(server: WebhookReceiver) -> InMemorySecrets:
    """The secret of a Slack receiver."""
    return InMemorySecrets({"slack": f"{server.url}/services/{SENTINEL}"})


def headlines(server: WebhookReceiver) -> list[str]:
    """What a chat has got."""
    return [one.json()["text"] for one in server.requests]


def test_a_rollback_is_told_once() -> None:
    """At its begin; its end is no event, nor is the same pass after a restart of the watch."""
    with WebhookReceiver() as server, post(slack(server)) as office:
        office.notify(
            leak(SLACK),
            leak(SLACK),
            notice(rolling_back(), rolled_back(), SLACK),
            notice(*promoted(), SLACK, at=AT + 99),
        )
        server.wait_for_requests(2)
    assert [words.split(":")[0] for words in headlines(server)] == [
        "auth rolled back at 5 %",
        "auth promoted",
    ]
    assert office.value("repeats_total") == 2
    assert office.value("deliveries_total", receiver="slack", result="delivered") == 2
    assert office.value("delay_seconds_count", receiver="slack") == 2
    assert office.value("queued") == 0


def test_the_same_version_tried_again_is_told_again() -> None:
    """A retry that leaks again is another rollback."""
    retried = rolling_back(release=release(started_at=AT + 60, failed=Reason.CONNECTION_LEAK))
    with WebhookReceiver() as server, post(slack(server)) as office:
        office.notify(leak(SLACK), notice(HOLDING, retried, SLACK))
        assert len(server.wait_for_requests(2)) == 2


def test_what_was_over_and_comes_again_is_told_again() -> None:
    """Stuck, resumed, stuck for the same reason: a person is needed twice."""
    with WebhookReceiver() as server, post(slack(server)) as office:
        office.notify(
            notice(HOLDING, paused(), SLACK),
            notice(paused(), HOLDING, SLACK),
            notice(HOLDING, paused(), SLACK),
        )
        assert len(server.wait_for_requests(2)) == 2


ROUTES = {
    "links": {"pools": "https://grafana.example/pools?pod={canary}"},
    "receivers": [
        {"name": "dba", "webhook": {"url": "URL/dba"}, "groups": ["pool"]},
        {"name": "sre", "webhook": {"url": "URL/sre"}, "groups": ["stuck"]},
        {"name": "team-b", "webhook": {"url": "URL/b"}, "namespaces": ["b"]},
    ],
}


def routed(url: str) -> dict[str, Any]:
    """The operator's receivers, at this server."""
    receivers = [
        {**one, "webhook": {"url": one["webhook"]["url"].replace("URL", url)}}
        for one in ROUTES["receivers"]
    ]
    return {**ROUTES, "receivers": receivers}


STORIES = [
    pytest.param(leak(), ["/dba"], id="a leak goes to the database team"),
    pytest.param(notice(HOLDING, paused()), ["/sre"], id="stuck goes to those on call"),
    pytest.param(
        notice(HOLDING, rolling_back(Reason.CRASH_LOOPING)), [], id="a crash to neither of them"
    ),
]


@pytest.mark.parametrize(("told", "paths"), STORIES)
def test_the_operators_routes_by_reason(told: Notice, paths: list[str]) -> None:
    """Whatever the release itself says."""
    with WebhookReceiver() as server, post(InMemorySecrets({}), routed(server.url)) as office:
        office.notify(told)
        server.wait_for_requests(len(paths))
    assert [one.path for one in server.requests] == paths


def test_the_database_team_gets_all_it_needs() -> None:
    """Evidence, pods, the pools' graph and the runbook, in the first message."""
    with WebhookReceiver() as server, post(InMemorySecrets({}), routed(server.url)) as office:
        office.notify(leak())
        (request,) = server.wait_for_requests(1)
    data = request.json()["data"]
    assert "leaks 1 connection per 4,900 requests" in data["message"]
    assert data["pods"] == ["auth-canary-5d9f-x2x7p", "auth-canary-5d9f-zq4lt"]
    assert {one["title"]: one["url"] for one in data["links"]} == {
        "Runbook": "https://canary-controller.dev/runbooks/ConnectionLeak",
        "Connection pools": "https://grafana.example/pools?pod=auth-canary",
    }


def test_both_the_owners_and_the_database_team_are_told() -> None:
    """Neither replaces the other."""
    with WebhookReceiver() as server, post(slack(server), routed(server.url)) as office:
        office.notify(leak(SLACK))
        paths = sorted(one.path for one in server.wait_for_requests(2))
    assert paths == ["/dba", f"/services/{SENTINEL}"]


def test_what_fails_is_tried_again_and_what_is_refused_is_not() -> None:
    """429 with its pause, then 500, then 200; and 400 once."""
    answers = (
        ScriptedAnswer(429, {"Retry-After": "2"}),
        ScriptedAnswer(500),
        ScriptedAnswer(200),
        ScriptedAnswer(400),
    )
    with WebhookReceiver(*answers) as server, post(slack(server)) as office:
        office.notify(leak(SLACK), notice(HOLDING, paused(), SLACK))
        server.wait_for_requests(4)
    assert len(server.requests) == 4
    assert office.value("retries_total", receiver="slack") == 2
    assert office.value("deliveries_total", receiver="slack", result="delivered") == 1
    assert office.value("deliveries_total", receiver="slack", result="refused") == 1


def test_a_long_pause_is_not_waited_for_by_a_thread() -> None:
    """The queue rests as long as the receiver asks for, and then it works."""
    with (
        WebhookReceiver(ScriptedAnswer(429, {"Retry-After": "30"}), ScriptedAnswer(200)) as server,
        post(slack(server)) as office,
    ):
        office.notify(leak(SLACK))
        server.wait_for_requests(2)
    assert office.value("retries_total", receiver="slack") == 0
    assert office.value("deliveries_total", receiver="slack", result="delivered") == 1


def test_a_receiver_that_hangs_delays_no_other() -> None:
    """Not those of the same release, nor those of the operator."""
    hook = {"webhook": {"url": "HUNG"}}
    with WebhookReceiver(ScriptedAnswer(hang=True)) as hung, WebhookReceiver() as server:
        hook["webhook"]["url"] = hung.url
        with post(slack(server), routed(server.url), fast=False) as office:
            office.notify(leak(hook, SLACK))
            assert len(server.wait_for_requests(2)) == 2
            assert office.value("deliveries_total", receiver="webhook", result="delivered") == 0


def test_an_incident_is_resolved_when_it_was_routed_there() -> None:
    """The pager of the database team has asked for pool reasons only, not for promotions."""
    leaked, crashed = rolled_back(), rolled_back(Reason.CRASH_LOOPING)
    pager = {"pagerduty": ref("pagerduty"), "groups": ["pool"]}
    with (
        WebhookReceiver(ScriptedAnswer(202)) as server,
        post(InMemorySecrets({"pagerduty": "K3Y"}), address=server.url) as office,
    ):
        office.notify(
            leak(pager),
            notice(*promoted(*leaked.history), pager),
            notice(HOLDING, rolling_back(Reason.CRASH_LOOPING), pager),
            notice(*promoted(*crashed.history), pager, at=AT + 9),
        )
        events = [one.json() for one in server.wait_for_requests(2)]
    assert [one["event_action"] for one in events] == ["trigger", "resolve"]
    assert events[0]["dedup_key"] == events[1]["dedup_key"]
    assert len(server.requests) == 2


def test_a_secret_is_read_for_each_message() -> None:
    """It may have been rotated; and it is read in the release's namespace."""
    with WebhookReceiver() as server:
        safe = slack(server)
        with post(safe) as office:
            office.notify(leak(SLACK), notice(HOLDING, paused(), SLACK))
            server.wait_for_requests(2)
    assert safe.asked == [("prod", "hooks"), ("prod", "hooks")]


def test_a_secret_that_is_not_there_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """With its name, the release and the reason, to the owners as an Event; the others are told."""
    with WebhookReceiver() as server, post(slack(server)) as office:
        office.notify(leak({"teams": ref("teams")}, SLACK))
        server.wait_for_requests(1)
    assert (
        "delivery to teams of prod/auth: ConnectionLeak ended without success (refused)"
        in caplog.text
    )
    assert "Secret hooks in prod has no key teams" in caplog.text
    words = "delivery to teams of ConnectionLeak failed: Secret hooks in prod has no key teams"
    assert office.warned == [(KEY, Reason.NOTIFICATION_FAILED, words)]


HOSTILE = (
    ScriptedAnswer(302, {"Location": "/x"}),
    ScriptedAnswer(404),
    ScriptedAnswer(500),
    ScriptedAnswer(raw=b"x\r\n\r\n"),
)


def test_no_secret_is_ever_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the receivers answer, at the most talkative level."""
    caplog.set_level(logging.DEBUG)
    with (
        WebhookReceiver(*HOSTILE, ScriptedAnswer(hang=True)) as server,
        post(slack(server)) as office,
    ):
        for reason in (Reason.CRASH_LOOPING, Reason.ABOVE_LIMIT, Reason.OUT_OF_MEMORY):
            office.notify(notice(HOLDING, rolling_back(reason), SLACK))
        server.wait_for_requests(5)
    assert "ended without success" in caplog.text
    assert office.warned
    assert SENTINEL not in caplog.text + str(office.warned)


def test_shutdown_tells_what_was_just_noticed() -> None:
    """A rollback in the last moment is not lost."""
    with WebhookReceiver() as server:
        with post(slack(server), fast=False) as office:
            office.notify(leak(SLACK))
        assert len(server.requests) == 1


def test_everybody_is_told() -> None:
    """Events and messages alike."""

    class Ear:
        def __init__(self) -> None:
            self.heard: list[Notice] = []

        def notify(self, notice: Notice) -> None:
            self.heard.append(notice)

    ears = Ear(), Ear()
    FanOutNotifier(*ears).notify(leak())
    assert [len(ear.heard) for ear in ears] == [1, 1]


def test_a_rolled_back_release_of_a_running_operator_is_told() -> None:
    """The whole way: watch, pass, notice, Secret, message; nothing of the secret in the cluster."""
    notify = "  notify: [{slack: {secretRef: {name: hooks, key: slack}}}]\n  steps:"
    with WebhookReceiver() as server, start_cluster() as town:
        address = f"{server.url}/services/{SENTINEL}"
        data = {"slack": base64.b64encode(address.encode()).decode()}
        secret = {"metadata": {"name": "hooks", "namespace": "prod"}, "data": data}
        town.cluster.put(SECRETS, secret)
        town.names = ("auth",)
        town.deploy("auth", **{"  steps:": notify})
        with run_operator(town) as running:
            town.until_phase("auth", Phase.READY)
            town.ship("auth", "auth:broken")
            (request,) = server.wait_for_requests(1)
            town.until_phase("auth", Phase.ROLLED_BACK)
            running.end()
        assert request.path == f"/services/{SENTINEL}"
        assert request.json()["text"].startswith("auth rolled back at 20 %: ")
        assert len(server.requests) == 1
        seen = [*town.cluster.list(EVENTS, "prod", {}), *town.cluster.list(RELEASES, "prod", {})]
        assert SENTINEL not in str(seen)
        count = running.telemetry.registry.get_sample_value
        labels = {"receiver": "slack", "result": "delivered"}
        assert count("canary_notification_deliveries_total", labels) == 1


SECRET_ERRORS = [
    pytest.param({}, "no Secret hooks in prod", id="no such Secret"),
    pytest.param({"data": {}}, "has no key slack", id="no such key"),
    pytest.param({"data": {"slack": "%%%"}}, "expected base64", id="not base64"),
    pytest.param({"data": {"slack": "/w=="}}, "one line of text", id="not text"),
    pytest.param({"data": {"slack": "YQpi"}}, "one line of text", id="two lines"),
    pytest.param({"data": {"slack": ""}}, "one line of text", id="nothing"),
]


@pytest.mark.parametrize(("secret", "words"), SECRET_ERRORS)
def test_secrets_that_cannot_be_used(
    secret: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One log line says what is expected; what was found is not repeated."""
    cluster = FakeCluster()
    if secret:
        cluster.put(SECRETS, {"metadata": {"name": "hooks", "namespace": "prod"}, **secret})
    with post(ClusterSecrets(cluster)) as office:
        office.notify(leak(SLACK))
    assert words in caplog.text


def quiet(before: Status) -> Status:
    """A status that says nothing new to those who asked for nothing."""
    return changed(before, reason=Reason.HOLDING, weight=5)


def test_nobody_is_told_of_every_step_unasked() -> None:
    """Only who asks for everything is."""
    everything = {**SLACK, "groups": ["all"]}
    with WebhookReceiver() as server, post(slack(server)) as office:
        office.notify(notice(HOLDING, quiet(HOLDING), SLACK))
        office.notify(notice(HOLDING, changed(quiet(HOLDING), weight=25), everything))
        assert len(server.wait_for_requests(1)) == 1
    assert len(server.requests) == 1
