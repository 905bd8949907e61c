"""Builds the URL of the runbook of a reason or an alert."""

import os
from typing import Final

from canary.api import Reason

BASE: Final = "https://canary-controller.dev/runbooks"
"""Default location of docs/runbooks."""
VARIABLE: Final = "CANARY_RUNBOOKS"
"""Environment variable with another location of the runbooks."""


def runbook_url(name: Reason | str, base: str | None = None) -> str:
    """Return the URL of the page of a reason or an alert, such as …/ConnectionLeak."""
    found = base or os.environ.get(VARIABLE) or BASE
    return f"{found.rstrip('/')}/{name}"
