"""An outcome as Markdown: a job's summary, a comment on a merge request. Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from canary.api import Verdict
from canary.errors import ExitCode
from canary.results.gate_result import GateResult, ResultCase
from canary.results.marks import format_fact
from canary.text.sanitize import make_one_line

_VERDICT_MARKS: Final = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.CONTINUE: "⏳",
    Verdict.NO_DATA: "❔",
    Verdict.UNAVAILABLE: "❔",
}
_TRUNCATED: Final = "\n\n*Cut here: the summary is longer than what fits.*\n"
_SPECIAL_CHARACTERS: Final = re.compile(r"([\\`*_{}\[\]<>|#~$&@])")
"""What would be markup, HTML, a mention of a person or a formula."""
_COMMANDS: Final = ("canary ", "kubectl ", "helm ", "git ")


def render_markdown(outcome: GateResult) -> str:
    """Heading, headline, one row per case, facts and what to do; ends with a line break."""
    blocks = [
        f"## {_mark_of(outcome)} canary {outcome.command}: {_escape_markdown(outcome.subject)}",
        _escape_markdown(outcome.headline),
        "\n".join(_render_table(outcome.cases)),
        "\n".join(_render_facts(outcome)),
        "\n".join(f"- {_render_step(step)}" for step in outcome.next_steps),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def truncate_markdown(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8 of the text, cut after a line, and a sentence that says so.

    Empty where not even that fits.
    """
    content = text.encode()
    if len(content) <= limit:
        return text
    room = limit - len(_TRUNCATED.encode())
    kept = content[: max(room, 0)].rpartition(b"\n")[0]
    return f"{kept.decode()}{_TRUNCATED}" if kept else ""


def _mark_of(outcome: GateResult) -> str:
    match outcome.code:
        case ExitCode.OK:
            return "✅"
        case ExitCode.FAILED | ExitCode.ERROR | ExitCode.USAGE | ExitCode.NOT_FOUND:
            return "❌"
        case _:
            return "⚠️"


def _render_table(cases: Sequence[ResultCase]) -> Iterator[str]:
    if cases:
        yield "| | what | verdict | found |"
        yield "|---|---|---|---|"
    for case in cases:
        cells = (
            _VERDICT_MARKS[case.verdict],
            _escape_markdown(case.name),
            case.verdict,
            _escape_markdown(case.sentence),
        )
        yield f"| {' | '.join(cells)} |"


def _render_facts(outcome: GateResult) -> Iterator[str]:
    if outcome.facts:
        yield "<details><summary>Figures</summary>\n"
        yield "| | |"
        yield "|---|---|"
    for name, fact in outcome.facts.items():
        yield f"| {_escape_markdown(name)} | {_escape_markdown(format_fact(fact))} |"
    if outcome.facts:
        yield "\n</details>"


def _render_step(step: str) -> str:
    line = make_one_line(step)
    if line.startswith(_COMMANDS) and "`" not in line:
        return f"`{line}`"
    return line if line.startswith(("https://", "http://")) else _escape_markdown(line)


def _escape_markdown(text: str) -> str:
    """The text as it is, in one line: nothing in it is markup."""
    return _SPECIAL_CHARACTERS.sub(r"\\\1", make_one_line(text))
