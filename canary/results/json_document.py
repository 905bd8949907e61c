"""An outcome for machines: one JSON document. Pure."""

import json
from collections.abc import Mapping
from typing import Final

from canary.results.gate_result import Case, Fact, Outcome
from canary.results.marks import RESULTS, finite

SCHEMA_VERSION: Final = 1
"""Rises when something that a reader relies on changes; new members do not raise it."""


def document(outcome: Outcome) -> str:
    """The outcome as indented JSON, without a line break at its end; NaN and infinity are null."""
    body = {
        "schemaVersion": SCHEMA_VERSION,
        "command": outcome.command,
        "subject": outcome.subject,
        "result": RESULTS[outcome.code],
        "exitCode": int(outcome.code),
        "headline": outcome.headline,
        "seconds": _seconds(outcome.seconds),
        "facts": _facts(outcome.facts),
        "cases": [_case(case) for case in outcome.cases],
        "nextSteps": list(outcome.next_steps),
    }
    return json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False)


def _case(case: Case) -> dict[str, object]:
    return {
        "name": case.name,
        "verdict": str(case.verdict),
        "sentence": case.sentence,
        "seconds": _seconds(case.seconds),
        "facts": _facts(case.facts),
    }


def _facts(facts: Mapping[str, Fact]) -> Fact:
    return finite(dict(facts))


def _seconds(value: float) -> Fact:
    return finite(round(value, 3))
