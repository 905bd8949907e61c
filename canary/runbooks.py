"""Where the runbook of a reason or an alert is."""

import os
from typing import Final

from canary.api import Reason

BASE: Final = "https://canary-controller.dev/runbooks"
"""Where docs/runbooks is published, unless somebody says where theirs are."""
VARIABLE: Final = "CANARY_RUNBOOKS"
"""The environment variable by which commands are told where they are."""


def runbook_url(name: Reason | str, base: str | None = None) -> str:
    """The page of a rollback reason or of an alert, such as …/ConnectionLeak."""
    found = base or os.environ.get(VARIABLE) or BASE
    return f"{found.rstrip('/')}/{name}"
