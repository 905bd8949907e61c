"""Alerting and recording rules as data, made from the presets. Pure.

`manifests/monitoring` and the chart hold what `files` makes of them; `tools.generate` writes it.
"""

from canary.alerts import errors, operator, pools
from canary.alerts.model import Alert, Group, Record, Settings, Severity, Team

__all__ = ["Alert", "Group", "Record", "Settings", "Severity", "Team", "alert_names", "groups"]


def groups(settings: Settings | None = None) -> tuple[Group, ...]:
    """All rules, in the order of their evaluation."""
    chosen = settings or Settings()
    return pools.group(chosen), errors.group(chosen), operator.group()


def alert_names() -> tuple[str, ...]:
    """Every alert once, sorted: each has a runbook of this name."""
    rules = (rule for group in groups() for rule in group.rules)
    return tuple(sorted({rule.name for rule in rules if isinstance(rule, Alert)}))
