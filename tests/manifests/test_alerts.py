"""Each alert fires when it should and stays silent when it should not, by Prometheus' own engine."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from canary.alerts import Alert, Severity, alert_names, build_groups
from canary.runbooks import runbook_url
from tests.manifests.promtool import RULES, Rows, evaluate_rules, run_promtool

PODS = {
    "auth": "auth-6c9d8f7b5-x2k4p",
    "calm": "auth-6c9d8f7b5-z7m9n",
    "canary": "auth-canary-5b7d4f-k8w2q",
}
OPERATORS = [f'job="canary",namespace="canary-system",instance="10.0.0.{n}:8080"' for n in (1, 2)]
UP: Rows = {f'canary_build_info{{{one},version="0.1.0"}}': "1x4000" for one in OPERATORS}


def hikari(pod: str = "auth", maximum: int = 10, **metrics: str) -> Rows:
    """One pod's pool as HikariCP exports it, every 15 s."""
    labels = f'{{namespace="prod",pod="{PODS[pod]}",pool="main"}}'
    rows = {f"hikaricp_connections_{name}{labels}": row for name, row in metrics.items()}
    return {f"hikaricp_connections_max{labels}": f"{maximum}x300"} | rows


def requests(good: str, bad: str, pod: str = "auth") -> Rows:
    """One pod's requests as Spring Boot counts them."""
    labels = f'namespace="prod",pod="{PODS[pod]}",uri="/login"'
    name = "http_server_requests_seconds_count"
    return {f'{name}{{{labels},status="200"}}': good, f'{name}{{{labels},status="503"}}': bad}


def phase(name: str, reason: str) -> str:
    """A series of the operator's; it names its release."""
    return (
        f'canary_release_phase{{namespace="prod",release="auth",phase="{name}",reason="{reason}"}}'
    )


def verdict(name: str) -> str:
    """As above."""
    return (
        f'canary_release_verdict{{namespace="prod",release="auth",metric="pool",verdict="{name}"}}'
    )


def leading(first: int, second: int) -> Rows:
    """Two replicas, 1 where one leads."""
    name = "leader_election_master_status"
    pairs = zip(OPERATORS, (first, second), strict=True)
    return {f'{name}{{{one},name="canary-controller"}}': f"{value}x300" for one, value in pairs}


@dataclass(frozen=True)
class Case:
    """What is scraped, and the severities with which an alert fires then."""

    alert: str
    rows: Rows
    severities: set[str] = field(default_factory=set)
    at: str = "20m"
    every: str = "15s"
    pods: set[str] | None = None


# 0.01 connections a second are lost: 1 in 5,000 requests at 50 a second; five are at work.
LEAK = hikari(maximum=50, active="5+0.15x300", usage_seconds_sum="0+75x300")
# Traffic is six times as high from minute 25 on, and so is what is given back.
SURGE = hikari(maximum=50, active="5x100 30x200", usage_seconds_sum="0+75x100 7950+450x200")
# Eight are held for good since the start, such as LISTEN, and all else comes back.
HELD = hikari(maximum=20, active="10x300", usage_seconds_sum="0+30x300")
PSYCOPG = f'{{namespace="prod",pod="{PODS["auth"]}"}}'

CASES = [
    pytest.param(
        Case("PoolNearlyFull", hikari(active="8x300") | hikari("calm", active="1x300"), {"warning"}, pods={PODS["auth"]}),
        id="one pod of two above 75 %: fires for that one",
    ),
    pytest.param(
        Case("PoolNearlyFull", hikari(active="10x300"), {"warning", "critical"}),
        id="every connection taken: critical",
    ),
    pytest.param(
        Case("PoolNearlyFull", hikari(maximum=20, active="15x300")),
        id="75 % is not above 75 %: silent",
    ),
    pytest.param(
        Case("PoolNearlyFull", hikari(active="3x60 9x8 3x200"), at="17m"),
        id="two minutes of rush: silent",
    ),
    pytest.param(
        Case("PoolExhaustionForecast", LEAK, {"critical", "warning"}, at="35m"),
        id="one connection in 5,000 requests is lost: fires long before the pool is nearly full",
    ),
    pytest.param(
        Case("PoolNearlyFull", LEAK, at="35m"),
        id="the pool of that leak is not nearly full yet",
    ),
    pytest.param(
        Case("PoolExhaustionForecast", SURGE, at="50m"),
        id="traffic six times as high since 25 minutes: silent all the time",
    ),
    pytest.param(
        Case("PoolExhaustionForecast", HELD, at="50m"),
        id="connections that are held for good, and no more of them: silent",
    ),
    pytest.param(
        Case("PoolExhaustionForecast", hikari(maximum=20, active="_x100 10x100", usage_seconds_sum="_x100 0+150x100"), at="31m"),
        id="a new pod, whose counters begin with the window: silent",
    ),
    pytest.param(
        Case("PoolConnectionsWaiting", hikari(active="10x300", pending="3x300"), {"critical"}),
        id="callers wait for a connection: fires",
    ),
    pytest.param(
        Case("PoolConnectionsWaiting", hikari(active="9x300", pending="0x60 4x3 0x200"), at="16m"),
        id="somebody waited for half a minute: silent",
    ),
    pytest.param(
        Case("PoolConnectionsWaiting", {f"requests_errors{PSYCOPG}": "0x20 0+1x200"}, {"critical"}),
        id="callers get none, as psycopg counts it: fires",
    ),
    pytest.param(
        Case("PoolConnectionsWaiting", {f"requests_errors{PSYCOPG}": "7x300"}),
        id="callers got none long ago: silent",
    ),
    pytest.param(
        Case("ErrorBudgetBurn", requests("0+570x90", "0+30x90"), {"critical", "warning"}, at="40m", every="30s"),
        id="5 % fail since the service is there: fires in all windows",
    ),
    pytest.param(
        Case("ErrorBudgetBurn", requests("0+2392x900", "0+8x900"), {"warning"}, at="26h", every="2m"),
        id="0.33 % fail since a day: a warning, nobody is woken",
    ),
    pytest.param(
        Case("ErrorBudgetBurn", requests("0+19994x900", "0+6x900"), at="26h", every="2m"),
        id="0.03 % fail, which the objective allows: silent",
    ),
    pytest.param(
        Case("ErrorBudgetBurn", requests("0+2x90", "0x10 0+1x6 6x90"), at="12m", every="30s"),
        id="six failures of hardly any requests: silent",
    ),
    pytest.param(Case("CanaryControllerDown", {}, {"critical"}), id="no operator: fires"),
    pytest.param(
        Case("CanaryControllerDown", UP, set(), at="20m"), id="an operator answers: silent"
    ),
    pytest.param(
        Case("CanaryNoLeader", UP | leading(0, 0), {"critical"}), id="two stand by: fires"
    ),
    pytest.param(Case("CanaryNoLeader", UP | leading(0, 1)), id="one of two leads: silent"),
    pytest.param(
        Case("CanaryNoLeader", leading(0, 0)), id="somebody else's operator stands by: silent"
    ),
    pytest.param(
        Case("CanaryPrometheusUnreachable", {verdict("Unavailable"): "1x300"}, {"critical"}),
        id="a release in flight cannot be judged: fires",
    ),
    pytest.param(
        Case("CanaryPrometheusUnreachable", {verdict("Unavailable"): "1x8 stale", verdict("Continue"): "_x9 1x200"}, at="4m"),
        id="Prometheus was away for two minutes: silent",
    ),
    pytest.param(
        Case("CanaryNoData", {verdict("NoData"): "1x300"}, {"warning"}),
        id="a release without data: fires",
    ),
    pytest.param(
        Case("CanaryNoData", {verdict("Continue"): "1x300"}), id="evidence gathers: silent"
    ),
    pytest.param(
        Case("CanaryReleaseStuck", {phase("Paused", "Contested"): "1x300"}, {"warning"}, at="40m"),
        id="paused for half an hour: fires",
    ),
    pytest.param(
        Case("CanaryReleaseStuck", {phase("Progressing", "TrafficNotShifted"): "1x300"}, {"warning"}, at="40m"),
        id="a weight that changes nothing: fires",
    ),
    pytest.param(
        Case("CanaryReleaseStuck", {phase("Progressing", "GatheringEvidence"): "1x300"}, at="40m"),
        id="evidence takes its time: silent",
    ),
    pytest.param(
        Case("CanaryReleaseStuck", {phase("WaitingForApproval", "ApprovalNeeded"): "1x300"}, at="40m"),
        id="waiting for an approval is meant so: silent",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_alert_fires_when_it_should_and_not_otherwise(case: Case, tmp_path: Path) -> None:
    """With all rules evaluated on what exporters and operator say."""
    expression = f'ALERTS{{alertname="{case.alert}",alertstate="firing"}}'
    if not case.severities:
        expression = f"max_over_time({expression}[{case.at}])"
    found = evaluate_rules(expression, case.rows, tmp_path, at=case.at, every=case.every)
    assert {labels["severity"] for labels, _ in found} == case.severities
    if case.pods is not None:
        assert {labels["pod"] for labels, _ in found} == case.pods


@pytest.mark.parametrize("name", alert_names())
def test_every_alert_has_a_case_that_fires_and_one_that_does_not(name: str) -> None:
    """A new alert without both fails here."""
    fires = {
        bool(case.severities) for (case,) in (one.values for one in CASES) if case.alert == name
    }
    assert fires == {True, False}


def test_the_forecast_says_when_the_pool_is_empty(tmp_path: Path) -> None:
    """At 35 minutes 26 of 50 are taken, 0.01 are lost per second: 40 minutes are left."""
    found = evaluate_rules("canary:pool_exhaustion:seconds", LEAK, tmp_path, at="35m")
    ((labels, seconds),) = found
    assert (labels["service"], labels["version"], labels["preset"]) == (
        "auth",
        "stable",
        "hikaricp",
    )
    assert seconds == pytest.approx(2400, rel=0.05)


def test_pods_are_told_by_service_and_version(tmp_path: Path) -> None:
    """The canary's pods belong to the same service, and have a version of their own."""
    rows = hikari(active="2x9") | hikari("canary", active="4x9")
    found = evaluate_rules("canary:pool_in_use:connections", rows, tmp_path, at="1m")
    assert {(o["service"], o["version"], o["pod"]): value for o, value in found} == {
        ("auth", "stable", PODS["auth"]): 2,
        ("auth", "canary", PODS["canary"]): 4,
    }


def test_promtool_finds_nothing_to_complain_of() -> None:
    """Neither wrong PromQL nor two rules that are the same."""
    done = run_promtool("check", "rules", "--lint-fatal", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_whom_it_concerns_and_where_to_read_on() -> None:
    """Summary, description, severity, team and runbook, all of them not empty."""
    rules = [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]
    alerts = [rule for rule in rules if "alert" in rule]
    assert {rule["alert"] for rule in alerts} == set(alert_names())
    for rule in alerts:
        notes = rule["annotations"]
        assert notes["runbook_url"] == runbook_url(rule["alert"])
        assert notes["summary"]
        assert notes["description"]
        assert rule["labels"]["team"] in {"database", "service", "platform"}
        assert rule["labels"]["severity"] in set(Severity)


def test_whatever_is_about_pools_concerns_the_database_team() -> None:
    """That is the faster escalation: by a label, not by a list of names."""
    alerts = [rule for group in build_groups() for rule in group.rules if isinstance(rule, Alert)]
    assert {one.name.startswith("Pool") for one in alerts if one.team == "database"} == {True}
    assert {one.team for one in alerts if one.name.startswith("Pool")} == {"database"}
