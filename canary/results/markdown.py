"""An outcome as Markdown: a job's summary, a comment on a merge request. Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from canary.api import Verdict
from canary.errors import ExitCode
from canary.results.gate_result import Case, Outcome
from canary.results.marks import shown
from canary.text.sanitize import make_one_line

_MARKS: Final = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.CONTINUE: "⏳",
    Verdict.NO_DATA: "❔",
    Verdict.UNAVAILABLE: "❔",
}
_CUT: Final = "\n\n*Cut here: the summary is longer than what fits.*\n"
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>|#~$&@])")
"""What would be markup, HTML, a mention of a person or a formula."""
_COMMANDS: Final = ("canary ", "kubectl ", "helm ", "git ")


def markdown(outcome: Outcome) -> str:
    """Heading, headline, one row per case, facts and what to do; ends with a line break."""
    blocks = [
        f"## {_mark(outcome)} canary {outcome.command}: {_escaped(outcome.subject)}",
        _escaped(outcome.headline),
        "\n".join(_table(outcome.cases)),
        "\n".join(_facts(outcome)),
        "\n".join(f"- {_step(step)}" for step in outcome.next_steps),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def fitting(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8 of the text, cut after a line, and a sentence that says so.

    Empty where not even that fits.
    """
    content = text.encode()
    if len(content) <= limit:
        return text
    room = limit - len(_CUT.encode())
    kept = content[: max(room, 0)].rpartition(b"\n")[0]
    return f"{kept.decode()}{_CUT}" if kept else ""


def _mark(outcome: Outcome) -> str:
    match outcome.code:
        case ExitCode.OK:
            return "✅"
        case ExitCode.FAILED | ExitCode.ERROR | ExitCode.USAGE | ExitCode.NOT_FOUND:
            return "❌"
        case _:
            return "⚠️"


def _table(cases: Sequence[Case]) -> Iterator[str]:
    if cases:
        yield "| | what | verdict | found |"
        yield "|---|---|---|---|"
    for case in cases:
        cells = (_MARKS[case.verdict], _escaped(case.name), case.verdict, _escaped(case.sentence))
        yield f"| {' | '.join(cells)} |"


def _facts(outcome: Outcome) -> Iterator[str]:
    if outcome.facts:
        yield "<details><summary>Figures</summary>\n"
        yield "| | |"
        yield "|---|---|"
    for name, fact in outcome.facts.items():
        yield f"| {_escaped(name)} | {_escaped(shown(fact))} |"
    if outcome.facts:
        yield "\n</details>"


def _step(step: str) -> str:
    line = make_one_line(step)
    if line.startswith(_COMMANDS) and "`" not in line:
        return f"`{line}`"
    return line if line.startswith(("https://", "http://")) else _escaped(line)


def _escaped(text: str) -> str:
    """The text as it is, in one line: nothing in it is markup."""
    return _SPECIAL.sub(r"\\\1", make_one_line(text))
