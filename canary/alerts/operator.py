"""Alerts on the operator itself, and on releases that need a person."""

from collections.abc import Iterator

from canary.alerts.model import Alert, RuleGroup, Severity, Team
from canary.api import Phase, Reason, Verdict

_ENDS_BY_ITSELF = (
    Phase.PENDING,
    Phase.PREPARING,
    Phase.CHECKING,
    Phase.PROMOTING,
    Phase.ROLLING_BACK,
    Phase.TERMINATING,
)
"""Phases that are short unless something is wrong."""
_HELD = tuple(reason for reason in Reason if reason.info.holds_weight)


def build_group() -> RuleGroup:
    """Return all rules about the operator and its releases."""
    return RuleGroup("canary-operator", "30s", (*_operator_alerts(), *_release_alerts()))


def _operator_alerts() -> Iterator[Alert]:
    yield Alert(
        "CanaryControllerDown",
        Severity.CRITICAL,
        Team.PLATFORM,
        "absent(canary_build_info)",
        "5m",
        "No canary operator is running",
        "Prometheus has received no metrics of an operator for 5 minutes. Either no operator runs, "
        "so releases do not progress, or Prometheus does not scrape it.",
    )
    # Other operators also export the metric of the leader election.
    yield Alert(
        "CanaryNoLeader",
        Severity.CRITICAL,
        Team.PLATFORM,
        "sum by (namespace) (\n"
        "  leader_election_master_status and on (job, instance) canary_build_info\n) == 0",
        "2m",
        "No replica of the canary operator is the leader",
        "Operators run in {{ $labels.namespace }}, but none holds the Lease, so releases are not "
        "reconciled.",
    )
    yield Alert(
        "CanaryPrometheusUnreachable",
        Severity.CRITICAL,
        Team.PLATFORM,
        f"count({_verdict_expression(Verdict.UNAVAILABLE)}) > 0",
        "3m",
        "The canary operator cannot query Prometheus",
        "{{ $value }} releases wait: without metrics the operator neither promotes them nor rolls "
        "them back for errors.",
    )


def _release_alerts() -> Iterator[Alert]:
    release = "Release {{ $labels.release }} in {{ $labels.namespace }}"
    explain = "`canary explain {{ $labels.release }} -n {{ $labels.namespace }}` shows details."
    yield Alert(
        "CanaryNoData",
        Severity.WARNING,
        Team.SERVICE,
        _verdict_expression(Verdict.NO_DATA),
        "10m",
        f"{release} has had no metrics for 10 minutes",
        f"Its weight is frozen, and it is not promoted without data. {explain}",
    )
    yield Alert(
        "CanaryReleaseStuck",
        Severity.WARNING,
        Team.SERVICE,
        "max by (namespace, release, phase, reason) (\n"
        f'  canary_release_phase{{phase=~"{"|".join((*_ENDS_BY_ITSELF, Phase.PAUSED))}"}}\n'
        f'  or canary_release_phase{{phase="{Phase.PROGRESSING}",reason=~"{"|".join(_HELD)}"}}\n'
        ") == 1",
        "30m",
        f"{release} is stuck: {{{{ $labels.reason }}}}",
        "It has been in phase {{ $labels.phase }} with reason {{ $labels.reason }} for 30 minutes "
        f"and needs a person. {explain}",
    )


def _verdict_expression(verdict: Verdict) -> str:
    return f'max by (namespace, release) (canary_release_verdict{{verdict="{verdict}"}}) == 1'
