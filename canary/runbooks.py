"""Where the runbook of a reason or an alert is. Pure."""

from typing import Final

from canary.api import Reason

BASE: Final = "https://canary-controller.dev/runbooks"
"""Where docs/runbooks is published; `runbook_base` of the operator and the chart replaces it."""


def runbook_url(name: Reason | str, base: str = BASE) -> str:
    """The page of a rollback reason or of an alert, such as …/ConnectionLeak."""
    return f"{base.rstrip('/')}/{name}"
