"""An outcome as annotations: GitHub's workflow commands, GitLab's Code Quality report. Pure.

Sources: GitHub, "Workflow commands for GitHub Actions", whose runner unescapes just what is escaped
here (actions/toolkit, packages/core/src/command.ts). GitLab, "Code Quality report format".
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Final

from canary.api import Verdict
from canary.errors import ExitCode
from canary.results.gate_result import Case, Outcome
from canary.results.marks import RESULTS, faults
from canary.text.sanitize import make_one_line, make_printable

_MOST: Final = 10
"""GitHub shows at most ten annotations of a level per step and drops the rest."""


def github(outcome: Outcome) -> str:
    """One workflow command per line: what happened, and each case that is to blame."""
    level = _level(outcome.code)
    told = "\n".join((outcome.headline, *outcome.next_steps))
    title = f"canary {outcome.command}: {outcome.subject}"
    lines = [_command(level, outcome, title, told)]
    blamed = faults(outcome)[: _MOST - 1]
    lines += [
        _command(level, outcome, f"{case.name}: {case.verdict}", case.sentence) for case in blamed
    ]
    return "\n".join(lines)


def gitlab(outcome: Outcome) -> str:
    """A Code Quality report: a JSON list of findings, empty after a gate that passed."""
    return json.dumps(list(_findings(outcome)), indent=2, ensure_ascii=False) + "\n"


def _level(code: ExitCode) -> str:
    match code:
        case ExitCode.OK:
            return "notice"
        case ExitCode.PAUSED | ExitCode.INCONCLUSIVE | ExitCode.INTERRUPTED:
            return "warning"
        case _:
            return "error"


def _command(level: str, outcome: Outcome, title: str, message: str) -> str:
    where = {"file": outcome.file} if outcome.file else {}
    properties = {**where, "title": make_one_line(title)}
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {told}::{_data(make_printable(message))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _findings(outcome: Outcome) -> Iterator[dict[str, object]]:
    if outcome.passed:
        return
    blamed = faults(outcome) or (Case("outcome", Verdict.FAIL, outcome.headline),)
    for case in blamed:
        yield {
            "description": f"{make_one_line(case.name)}: {make_one_line(case.sentence)}",
            "check_name": f"canary-{outcome.command}/{RESULTS[outcome.code]}",
            "fingerprint": _fingerprint(outcome, case),
            "severity": "critical" if case.verdict is Verdict.FAIL else "major",
            "location": {
                "path": make_one_line(outcome.file or outcome.subject),
                "lines": {"begin": 1},
            },
        }


def _fingerprint(outcome: Outcome, case: Case) -> str:
    """Of what was judged, not of its figures: the same fault twice is one finding."""
    told = "\0".join((outcome.command, outcome.subject, case.name, str(case.verdict)))
    return hashlib.sha256(told.encode()).hexdigest()[:32]
