"""The results as a table, printed and in docs/benchmarks.md."""

import re
from collections.abc import Sequence

from e2e.faults.context import FaultResult
from e2e.harness.installed import ROOT

HEAD = """
| fault | what happened | invariants | seconds |
|---|---|---|---|
"""
_BLOCK = re.compile("(?<=<!-- faults:start -->\n).*?(?=<!-- faults:end -->)", re.DOTALL)


def render_table(results: Sequence[FaultResult]) -> str:
    """Return the table as Markdown."""
    return HEAD.lstrip() + "".join(_render_rows(results).values())


def replace_table(page: str, results: Sequence[FaultResult]) -> str:
    """Replace the rows of these faults in the page's table; rows of others stay."""

    def replace(match: re.Match[str]) -> str:
        lines = match[0].splitlines(keepends=True)[2:]
        rows = {line.split(" | ")[0].removeprefix("| "): line for line in lines}
        return HEAD.lstrip() + "".join((rows | _render_rows(results)).values())

    return _BLOCK.sub(replace, page)


def write_table(results: Sequence[FaultResult]) -> None:
    """Replace the rows of these faults in docs/benchmarks.md."""
    page = ROOT / "docs/benchmarks.md"
    page.write_text(replace_table(page.read_text("utf-8"), results), "utf-8")


def _render_rows(results: Sequence[FaultResult]) -> dict[str, str]:
    return {one.name: f"| {' | '.join(_cells(one))} |\n" for one in results}


def _cells(one: FaultResult) -> tuple[str, str, str, str]:
    if one.skipped:
        return one.name, f"skipped: {one.happened}", "–", "–"
    held = "held" if not one.violations else "**violated**: " + "; ".join(one.violations)
    return one.name, one.happened, held, f"{one.seconds:.0f}"
