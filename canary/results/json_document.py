"""Renders a result as one JSON document. Pure."""

import json
from collections.abc import Mapping
from typing import Final

from canary.results.gate_result import Fact, GateResult, ResultCase
from canary.results.marks import RESULT_NAMES, replace_non_finite

SCHEMA_VERSION: Final = 1
"""Increased by incompatible changes; new members are compatible."""


def render_json(outcome: GateResult) -> str:
    """Return indented JSON without a trailing newline; NaN and infinity are null."""
    body = {
        "schemaVersion": SCHEMA_VERSION,
        "command": outcome.command,
        "subject": outcome.subject,
        "result": RESULT_NAMES[outcome.code],
        "exitCode": int(outcome.code),
        "headline": outcome.headline,
        "seconds": _round_seconds(outcome.seconds),
        "facts": _facts_to_json(outcome.facts),
        "cases": [_case_to_json(case) for case in outcome.cases],
        "nextSteps": list(outcome.next_steps),
    }
    return json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False)


def _case_to_json(case: ResultCase) -> dict[str, object]:
    return {
        "name": case.name,
        "verdict": str(case.verdict),
        "sentence": case.sentence,
        "seconds": _round_seconds(case.seconds),
        "facts": _facts_to_json(case.facts),
    }


def _facts_to_json(facts: Mapping[str, Fact]) -> Fact:
    return replace_non_finite(dict(facts))


def _round_seconds(value: float) -> Fact:
    return replace_non_finite(round(value, 3))
