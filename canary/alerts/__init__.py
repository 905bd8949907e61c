"""Alerting and recording rules as data, made from the presets. Pure.

`files` renders them for `manifests/monitoring` and the chart; `tools.generate` writes the files.
"""

from canary.alerts import error_budget, operator, pools
from canary.alerts.model import Alert, AlertSettings, RecordingRule, RuleGroup, Severity, Team

__all__ = [
    "Alert",
    "AlertSettings",
    "RecordingRule",
    "RuleGroup",
    "Severity",
    "Team",
    "alert_names",
    "groups",
]


def build_groups(settings: AlertSettings | None = None) -> tuple[RuleGroup, ...]:
    """Return all rules, in the order of their evaluation."""
    chosen = settings or AlertSettings()
    return pools.build_group(chosen), error_budget.build_group(chosen), operator.build_group()


def alert_names() -> tuple[str, ...]:
    """Return the names of all alerts, sorted; each has a runbook of the same name."""
    rules = (rule for group in build_groups() for rule in group.rules)
    return tuple(sorted({rule.name for rule in rules if isinstance(rule, Alert)}))
