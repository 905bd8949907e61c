"""Prints the result of `canary analyze --samples`: one JSON object per release, or a table."""

import json
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from canary.core.evidence import Assessment
from canary.errors import ExitCode
from canary.render.console import SafeConsole
from canary.render.terminal import echo
from canary.text.sanitize import escape_unprintable

if TYPE_CHECKING:
    from rich.table import Table

_PAGE_SIZE = 1000
"""Releases per table, so that any number of releases fits into memory."""
_MIN_NAME_WIDTH = 16
"""Preferred minimum width of the name column, in characters."""
_COLUMN_GAP = 1
_COLUMNS = ("RELEASE", "VERDICT", "AT", "CANARY BAD", "STABLE BAD", "RATIO", "EVIDENCE")
_LEFT_ALIGNED = ("RELEASE", "VERDICT")
_OPTIONAL_COLUMNS = ("EVIDENCE", "RATIO", "STABLE BAD", "CANARY BAD", "AT")
"""Columns that a narrow terminal omits, in this order."""
_STYLES = {"Fail": "bold red", "Pass": "green", "Continue": "yellow", "NoData": "dim"}
_CODES = {
    "Pass": ExitCode.OK,
    "Fail": ExitCode.FAILED,
    "Continue": ExitCode.INCONCLUSIVE,
    "NoData": ExitCode.INCONCLUSIVE,
}

AssessedReleases = Iterable[tuple[str, Assessment]]


def verdict_of(assessment: Assessment) -> tuple[str, float | None]:
    """Return the verdict and the time (seconds) of the sample that decided it."""
    if assessment.failed:
        return "Fail", assessment.failed_at
    if assessment.final_pass:
        return "Pass", assessment.passing_since
    return ("Continue" if assessment.canary_total > 0 else "NoData"), None


def print_json(assessed: AssessedReleases) -> ExitCode:
    """Print one line per release; return the exit code of a single release, else OK."""
    count, word = 0, ""
    for name, said in assessed:
        count += 1
        word, at = verdict_of(said)
        row = {
            "schemaVersion": 1,
            "release": name,
            "verdict": word,
            "at": at,
            "canaryTotal": said.canary_total,
            "canaryBad": said.canary_bad,
            "stableTotal": said.stable_total,
            "stableBad": said.stable_bad,
            "ratio": said.ratio,
            "ratioLow": said.ratio_low,
            "ratioHigh": said.ratio_high,
            "evidence": said.evidence,
        }
        # JSON allows control characters above 0x7e, but a terminal obeys them.
        echo(json.dumps(row, ensure_ascii=not name.isprintable(), allow_nan=False))
    return _exit_code(count, word)


def print_table(assessed: AssessedReleases) -> ExitCode:
    """Print a table; for a single release also a message. Returns the exit code."""
    from rich.text import Text  # noqa: PLC0415

    console = SafeConsole(file=sys.stdout, highlight=False, emoji=False)
    releases, count, last = iter(assessed), 0, ""
    while page := list(islice(releases, _PAGE_SIZE)):
        count += len(page)
        last = verdict_of(page[-1][1])[0]
        console.print(
            _build_table([_format_cells(name, said) for name, said in page], console.width)
        )
        if count == 1:
            sentence = page[0][1].sentence
            console.print(Text(f"\n{sentence[:1].upper()}{sentence[1:]}."))
    return _exit_code(count, last)


def _exit_code(count: int, last: str) -> ExitCode:
    return _CODES[last] if count == 1 else ExitCode.OK


def _build_table(rows: Sequence[dict[str, str]], width: int) -> "Table":
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = _fit_columns(rows, width)
    for column in columns:
        table.add_column(
            column,
            justify="left" if column in _LEFT_ALIGNED else "right",
            no_wrap=column != "RELEASE",
            overflow="fold",
        )
    for row in rows:
        style = _STYLES[row["VERDICT"]]
        cells = [Text(row[c], style=style if c == "VERDICT" else "") for c in columns]
        table.add_row(*cells)
    return table


def _fit_columns(rows: Sequence[dict[str, str]], width: int) -> list[str]:
    """Return the columns that fit into `width`; name and verdict always stay."""
    needed = {column: max(len(column), *(len(row[column]) for row in rows)) for column in _COLUMNS}
    needed["RELEASE"] = min(needed["RELEASE"], _MIN_NAME_WIDTH)
    columns = list(_COLUMNS)
    for column in _OPTIONAL_COLUMNS:
        if sum(needed[name] + _COLUMN_GAP for name in columns) - _COLUMN_GAP <= width:
            break
        columns.remove(column)
    return columns


def _format_cells(name: str, said: Assessment) -> dict[str, str]:
    word, at = verdict_of(said)
    values = (
        escape_unprintable(name),
        word,
        "–" if at is None else f"{at:.10g}",
        _format_share(said.canary_bad, said.canary_total),
        _format_share(said.stable_bad, said.stable_total),
        _format_ratio(said),
        f"{said.evidence:.2g}",
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _format_share(bad: float, total: float) -> str:
    return f"{bad / total:.2%}" if total else "–"


def _format_ratio(said: Assessment) -> str:
    if said.ratio is None:
        return "–"
    high = "∞" if said.ratio_high is None else f"{said.ratio_high:.1f}"
    return f"{said.ratio:.1f} ({said.ratio_low or 0.0:.1f}–{high})"
