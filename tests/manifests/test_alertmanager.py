"""The example for Alertmanager: read by amtool, and who is told of what."""

from pathlib import Path

import pytest

from canary.alerts import Alert, Severity, build_groups
from canary.api import Reason
from tests.manifests.promtool import run_promtool

CONFIG = str(Path(__file__).parents[2] / "manifests/monitoring/alertmanager.yaml")
ALERTS = [rule for group in build_groups() for rule in group.rules if isinstance(rule, Alert)]


def told(**labels: str) -> str:
    """The receiver of an alert with these labels."""
    pairs = [f"{name}={value}" for name, value in labels.items()]
    done = run_promtool(
        "config", "routes", "test", f"--config.file={CONFIG}", *pairs, program="amtool"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_amtool_reads_it() -> None:
    """As Alertmanager itself would."""
    done = run_promtool("check-config", CONFIG, program="amtool")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "alert", [pytest.param(one, id=f"{one.name}, {one.severity}, {one.lasting}") for one in ALERTS]
)
def test_every_alert_reaches_its_team_and_the_critical_ones_a_pager(alert: Alert) -> None:
    """By the labels that the rules give it."""
    pager = "-pager" if alert.severity is Severity.CRITICAL else ""
    found = told(alertname=alert.name, severity=alert.severity, team=alert.team)
    assert found == f"{alert.team}{pager}"


@pytest.mark.parametrize("reason", sorted(one for one in Reason if one.info.about_pool))
def test_a_rollback_for_its_pool_goes_to_the_database_team_at_once(reason: Reason) -> None:
    """As the operator sends it."""
    labels = {"alertname": "CanaryRolledBack", "severity": "critical", "namespace": "prod"}
    assert told(**labels, reason=reason) == "database-pager"


@pytest.mark.parametrize(
    ("alertname", "severity", "reason", "receiver"),
    [
        pytest.param("CanaryRolledBack", "critical", "WorseThanStable", "service-pager", id="errors"),
        pytest.param("CanaryReleaseStuck", "warning", "Contested", "service", id="a stuck release"),
    ],
)  # fmt: skip
def test_every_other_reason_goes_to_the_services_owners(
    alertname: str, severity: str, reason: str, receiver: str
) -> None:
    """The database team is not told of what it cannot mend."""
    assert told(alertname=alertname, severity=severity, reason=reason) == receiver
