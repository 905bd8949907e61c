"""The result of a load by stage and by request, as a table. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from canary.results.gate_result import Fact
from canary.text.format import format_latency
from canary.text.sanitize import make_one_line

_TABLE_HEADER = ("", "REQUESTS", "FAILED", "P50", "P99")
_NAME_WIDTH = 40


def render_load_table(facts: Mapping[str, Fact]) -> str:
    """Return rows of `stages` and `requests` if there are several of them; else an empty text."""
    rows = [*_list_rows(facts.get("stages"), "rate"), *_list_rows(facts.get("requests"), "name")]
    if not rows:
        return ""
    widths = [
        max(len(row[column]) for row in (_TABLE_HEADER, *rows))
        for column in range(len(_TABLE_HEADER))
    ]
    lines = [_format_row(row, widths) for row in (_TABLE_HEADER, *rows)]
    return "\n".join(lines) + "\n"


def _list_rows(several: Fact, key: str) -> Iterator[Sequence[str]]:
    if not isinstance(several, list):
        return
    shown = [row for row in several if isinstance(row, dict) and row.get("measured", True)]
    if len(shown) < 2:  # noqa: PLR2004 - one row would repeat the headline
        return
    for row in shown:
        name = make_one_line(str(row[key]))
        yield (
            name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 1] + "…",
            f"{row['over']:,}",
            f"{row['failed']:,}",
            format_latency(float(str(row["p50Seconds"]))),
            format_latency(float(str(row["p99Seconds"]))),
        )


def _format_row(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.rjust(width) if index else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *rest]).rstrip()
