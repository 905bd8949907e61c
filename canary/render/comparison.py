"""Compares the same release with and without canary, in users' terms, side by side."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from canary.render.timeline import ReleaseSummary
from canary.text.format import format_count, format_percent, human_duration, split_camel_case
from canary.text.sanitize import escape_html_text, strip_controls

NOT_RUN = "not run"
HEADINGS = ("", "with canary", "without")
PROMOTED = "Promoted"


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One line of the comparison, as text."""

    name: str
    with_canary: str
    without: str


def describe_result(result: ReleaseSummary) -> str:
    """Return what happened in one sentence without a full stop."""
    at = "" if result.ended == PROMOTED else f" at {result.peak_weight} %"
    cause = strip_controls(result.sentence).rstrip(". ")
    users = f"{_count_of(result.users_hit, result.users)} users were hit"
    parts = [f"{split_camel_case(result.ended)}{at}: {cause}"]
    if result.requests:
        parts.append(f"{_count_of(result.failed, result.requests)} {result.noun} {result.happened}")
    if result.users:
        parts.append(users if result.users_hit else "no user was hit")
    return "; ".join(parts)


def _count_of(part: int, whole: int) -> str:
    return (
        f"{format_count(part)} of {format_count(whole)}"
        if part
        else f"none of {format_count(whole)}"
    )


def comparison_rows(
    with_canary: ReleaseSummary | None, without: ReleaseSummary | None
) -> tuple[ComparisonRow, ...]:
    """Return the lines of the comparison; a side that was not run has the text `not run`."""
    return tuple(
        ComparisonRow(name, _format_side(tell, with_canary), _format_side(tell, without))
        for name, tell in _LINES.items()
    )


def _format_side(tell: Callable[[ReleaseSummary], str], result: ReleaseSummary | None) -> str:
    return NOT_RUN if result is None else tell(result)


def _format_end(result: ReleaseSummary) -> str:
    return (
        f"{split_camel_case(result.ended)} ({strip_controls(result.reason)})"
        if result.reason
        else split_camel_case(result.ended)
    )


def _format_failed(result: ReleaseSummary) -> str:
    return _format_share(result.failed, result.requests)


def _format_users(result: ReleaseSummary) -> str:
    return _format_share(result.users_hit, result.users)


def _format_share(part: int, whole: int) -> str:
    share = f" ({format_percent(part / whole)})" if part and whole else ""
    return f"{format_count(part)} of {format_count(whole)}{share}"


def _format_detection(result: ReleaseSummary) -> str:
    if result.detected_after is None:
        return "nothing to detect" if result.ended == PROMOTED else "never"
    return human_duration(result.detected_after)


def _format_weight_zero(result: ReleaseSummary) -> str:
    if result.weight_zero_after is None:
        return "not needed" if result.ended == PROMOTED else "never"
    return human_duration(result.weight_zero_after)


def _format_pool(result: ReleaseSummary) -> str:
    return format_percent(result.peak_pool)


_LINES: dict[str, Callable[[ReleaseSummary], str]] = {
    "how it ended": _format_end,
    "logins failed": _format_failed,
    "users hit": _format_users,
    "time to detection": _format_detection,
    "time to weight 0": _format_weight_zero,
    "of that, under traffic": lambda result: human_duration(result.exposed_for),
    "highest weight": lambda result: f"{result.peak_weight} %",
    "fullest pool": _format_pool,
}


def comparison_table(rows: Sequence[ComparisonRow]) -> Table:
    """Return the comparison for a terminal; the text is complete without the colors."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for row in rows:
        sides = (Text(row.with_canary, "green"), Text(row.without, "red"))
        table.add_row(
            Text(row.name, "dim"),
            *(side if side.plain != NOT_RUN else Text(NOT_RUN, "dim") for side in sides),
        )
    return table


def comparison_text(rows: Sequence[ComparisonRow]) -> str:
    """Return the comparison as plain lines in columns, for pipes and CI."""
    lines = [HEADINGS, *((row.name, row.with_canary, row.without) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(2)]
    return "\n".join(
        f"{name:<{widths[0]}}  {mine:<{widths[1]}}  {other}".rstrip() for name, mine, other in lines
    )


def comparison_html(rows: Sequence[ComparisonRow]) -> Iterator[str]:
    """Return the comparison as table rows (`<tr>`), escaped."""
    for row in rows:
        sides = "".join(f"<td>{_html_cell(side)}</td>" for side in (row.with_canary, row.without))
        yield f'<tr><th scope="row">{escape_html_text(row.name)}</th>{sides}</tr>'


def _html_cell(words: str) -> str:
    """Return escaped text whose long CamelCase words may break on a narrow screen."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "<wbr>", escape_html_text(words))
