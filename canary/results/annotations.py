"""Renders a result as GitHub workflow commands and as a GitLab Code Quality report. Pure.

Sources: GitHub, "Workflow commands for GitHub Actions", whose runner unescapes just what is escaped
here (actions/toolkit, packages/core/src/command.ts). GitLab, "Code Quality report format".
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Final

from canary.api import Verdict
from canary.errors import ExitCode
from canary.results.gate_result import GateResult, ResultCase
from canary.results.marks import RESULT_NAMES, failing_cases
from canary.text.sanitize import make_one_line, make_printable

_MAX_ANNOTATIONS: Final = 10
"""GitHub shows at most ten annotations of a level per step and drops the rest."""


def render_github(outcome: GateResult) -> str:
    """Return one workflow command per line: the headline, and each failing case."""
    level = _level_of(outcome.code)
    told = "\n".join((outcome.headline, *outcome.next_steps))
    title = f"canary {outcome.command}: {outcome.subject}"
    lines = [_format_command(level, outcome, title, told)]
    blamed = failing_cases(outcome)[: _MAX_ANNOTATIONS - 1]
    lines += [
        _format_command(level, outcome, f"{case.name}: {case.verdict}", case.sentence)
        for case in blamed
    ]
    return "\n".join(lines)


def render_gitlab(outcome: GateResult) -> str:
    """Return a Code Quality report: a JSON list of findings, empty if the result passed."""
    return json.dumps(list(_list_findings(outcome)), indent=2, ensure_ascii=False) + "\n"


def _level_of(code: ExitCode) -> str:
    match code:
        case ExitCode.OK:
            return "notice"
        case ExitCode.PAUSED | ExitCode.INCONCLUSIVE | ExitCode.INTERRUPTED:
            return "warning"
        case _:
            return "error"


def _format_command(level: str, outcome: GateResult, title: str, message: str) -> str:
    where = {"file": outcome.file} if outcome.file else {}
    properties = {**where, "title": make_one_line(title)}
    told = ",".join(f"{name}={_escape_property(value)}" for name, value in properties.items())
    return f"::{level} {told}::{_escape_data(make_printable(message))}"


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")


def _list_findings(outcome: GateResult) -> Iterator[dict[str, object]]:
    if outcome.passed:
        return
    blamed = failing_cases(outcome) or (ResultCase("outcome", Verdict.FAIL, outcome.headline),)
    for case in blamed:
        yield {
            "description": f"{make_one_line(case.name)}: {make_one_line(case.sentence)}",
            "check_name": f"canary-{outcome.command}/{RESULT_NAMES[outcome.code]}",
            "fingerprint": _compute_fingerprint(outcome, case),
            "severity": "critical" if case.verdict is Verdict.FAIL else "major",
            "location": {
                "path": make_one_line(outcome.file or outcome.subject),
                "lines": {"begin": 1},
            },
        }


def _compute_fingerprint(outcome: GateResult, case: ResultCase) -> str:
    """Return a fingerprint without figures, so that the same fault twice is one finding."""
    told = "\0".join((outcome.command, outcome.subject, case.name, str(case.verdict)))
    return hashlib.sha256(told.encode()).hexdigest()[:32]
