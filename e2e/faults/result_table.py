"""The results as a table, printed and in docs/benchmarks.md."""

from collections.abc import Sequence

from e2e.faults.context import FaultResult
from e2e.harness.installed import ROOT
from e2e.harness.result_table import write_table as replace_block

HEAD = """
| fault | what happened | invariants | seconds |
|---|---|---|---|
"""


def render_table(results: Sequence[FaultResult]) -> str:
    """Return the table as Markdown."""
    return HEAD.lstrip() + "".join(f"| {' | '.join(_row(one))} |\n" for one in results)


def write_table(results: Sequence[FaultResult]) -> None:
    """Replace the table in docs/benchmarks.md."""
    page = ROOT / "docs/benchmarks.md"
    text = replace_block(page.read_text("utf-8"), render_table(results), "faults")
    page.write_text(text, "utf-8")


def _row(one: FaultResult) -> tuple[str, str, str, str]:
    held = "held" if not one.violations else "**violated**: " + "; ".join(one.violations)
    if one.skipped:
        return one.name, f"skipped: {one.happened}", "–", "–"
    return one.name, one.happened, held, f"{one.seconds:.0f}"
