"""Renders a result as Markdown, for the summary of a job or a comment. Pure."""

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
_TRUNCATED: Final = "\n\n*Truncated: the summary exceeds the maximum size.*\n"
_SPECIAL_CHARACTERS: Final = re.compile(r"([\\`*_{}\[\]<>|#~$&@])")
"""Characters of markup, HTML, mentions and formulas."""
_COMMANDS: Final = ("canary ", "kubectl ", "helm ", "git ")


def render_markdown(outcome: GateResult) -> str:
    """Return heading, headline, a row per case, figures and next steps, with a trailing newline."""
    blocks = [
        f"## {_mark_of(outcome)} canary {outcome.command}: {_escape_markdown(outcome.subject)}",
        _escape_markdown(outcome.headline),
        "\n".join(_render_table(outcome.cases)),
        "\n".join(_render_facts(outcome)),
        "\n".join(f"- {_render_step(step)}" for step in outcome.next_steps),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def truncate_markdown(text: str, limit: int) -> str:
    """Return at most `limit` bytes of UTF-8, cut after a line and marked as truncated.

    The result is empty if not even the mark fits.
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
    """Return the text on one line, with all markup escaped."""
    return _SPECIAL_CHARACTERS.sub(r"\\\1", make_one_line(text))
