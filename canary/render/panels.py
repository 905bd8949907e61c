"""Renders the panels of the live view: weight, both versions' numbers, pools, evidence."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from canary.render.bars import (
    POOL_LIMIT,
    Glyphs,
    draw_bar,
    fit_end,
    fit_text,
    justify_line,
    mark_cell,
    place_labels,
)
from canary.render.timeline import Evidence, Moment, Numbers, Pool
from canary.text.format import format_amount, format_count, format_percent

LABEL_WIDTH = 9
SHORT_NAME, LONG_NAME = 8, 16
"""Width in cells for the names of instances and metrics."""
TWO_COLUMNS = 72
"""Width in cells from which the pools of both versions are shown side by side."""
VERDICT_STYLES = {
    "Fail": "bold red",
    "Unavailable": "yellow",
    "NoData": "yellow",
    "Continue": "cyan",
    "Pass": "green",
}
E_VALUE_THRESHOLD = 20.0
"""Thresholds of at least this are e-values, which begin at 1; lower ones are measured values."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where the panels are drawn: `width` cells, and what the terminal can show."""

    console: Console
    glyphs: Glyphs
    width: int


def weight_panel(page: Canvas, weight: int, steps: Sequence[int]) -> Iterator[Text]:
    """Render two lines: the weight as a bar with the steps marked, and the steps' weights."""
    head = f"{'weight':<{LABEL_WIDTH}}{weight:>3} %  "
    width = max(page.width - len(head), 1)
    marks = [step / 100 for step in steps]
    yield Text(head, style="bold") + draw_bar(weight / 100, width, marks, "bold cyan", page.glyphs)
    order = sorted(steps, key=lambda step: (step != weight, step))
    places = [
        (mark_cell(step / 100, width), str(step), _step_style(step, weight)) for step in order
    ]
    yield Text(" " * len(head)) + place_labels(places, width)


def _step_style(step: int, weight: int) -> str:
    if step == weight:
        return "bold cyan"
    return "dim" if step < weight else "default"


def numbers_panel(page: Canvas, moment: Moment) -> list[Text]:
    """Render three lines: a heading and both versions' numbers, as many columns as fit."""
    names = ("requests/s", "errors now", "requests", "failed", "failed share")
    rows = [
        Text(" " * LABEL_WIDTH),
        Text(f"{'stable':<{LABEL_WIDTH}}"),
        Text(f"{'canary':<{LABEL_WIDTH}}", "cyan"),
    ]
    fits = min(len(names), max((page.width - LABEL_WIDTH) // 14, 1))
    width = min((page.width - LABEL_WIDTH) // fits, 16)
    columns = zip(names, _number_cells(moment.stable), _number_cells(moment.canary), strict=True)
    for name, stable, canary in list(columns)[:fits]:
        cells = ((name, "dim"), stable, canary)
        for row, (words, style) in zip(rows, cells, strict=True):
            row.append(fit_text(words, width, page.glyphs, right=True), style=style)
    return rows


def _number_cells(numbers: Numbers) -> list[tuple[str, str]]:
    share = numbers.bad / numbers.total if numbers.total else None
    return [
        (f"{numbers.requests_per_second:,.1f}", "default"),
        (format_percent(numbers.error_ratio), _error_style(numbers.error_ratio)),
        (format_count(numbers.total), "default"),
        (format_count(numbers.bad), _error_style(numbers.bad)),
        (format_percent(share), _error_style(share)),
    ]


def _error_style(failures: float | None) -> str:
    return "bold red" if failures else "default"


def pool_rows(page: Canvas, moment: Moment) -> int:
    """Return the number of lines for all pools."""
    stable, canary = _split_by_side(moment.pools)
    rows = max(len(stable), len(canary)) if page.width >= TWO_COLUMNS else len(moment.pools)
    return max(rows, 1)


def _split_by_side(pools: Sequence[Pool]) -> tuple[list[Pool], list[Pool]]:
    canary = [pool for pool in pools if pool.side == "canary"]
    return [pool for pool in pools if pool.side != "canary"], canary


def pools_panel(page: Canvas, pools: Sequence[Pool], rows: int) -> list[Text]:
    """Render a heading and at most `rows` − 1 lines; side by side if there is room."""
    mark = page.glyphs.mark_empty
    limit = Text(f"{mark} {format_percent(POOL_LIMIT)}", style="dim")
    head = justify_line(Text("connections in use", style="dim"), limit, page.width)
    if not pools:
        return [head, Text("no pool data yet", style="dim")]
    if page.width < TWO_COLUMNS:
        return [head, *_pool_lines(_PoolColumn(page, pools, page.width), pools, rows - 1)]
    column = _PoolColumn(page, pools, (page.width - 4) // 2)
    stable, canary = (_pool_lines(column, side, rows - 1) for side in _split_by_side(pools))
    return [head, *_join_columns(stable, canary, column.width)]


def _join_columns(left: list[Text], right: list[Text], width: int) -> Iterator[Text]:
    for row in range(max(len(left), len(right))):
        line = left[row].copy() if row < len(left) else Text()
        line.pad_right(width + 4 - line.cell_len)
        yield line + right[row] if row < len(right) else line


@dataclass(frozen=True, slots=True)
class _PoolColumn:
    page: Canvas
    pools: Sequence[Pool]
    """Return all pools; the longest name decides where the bars begin."""
    width: int

    @property
    def name(self) -> int:
        return name_width(pool.instance for pool in self.pools)


def name_width(names: Iterable[str]) -> int:
    """Return the width in cells of the longest of `names`, within limits."""
    return max(SHORT_NAME, min(LONG_NAME, max(map(cell_len, names), default=0)))


def _pool_lines(column: _PoolColumn, pools: Sequence[Pool], rows: int) -> list[Text]:
    """Render one line per pool in the given order; without room, the fullest and a count."""
    if len(pools) <= rows:
        return [_pool_line(column, pool) for pool in pools]
    fullest = sorted(range(len(pools)), key=lambda index: -pools[index].share)
    shown = sorted(fullest[: max(rows - 1, 0)])
    rest = f"and {len(pools) - len(shown)} less full"
    lines = [_pool_line(column, pools[index]) for index in shown]
    return [*lines, Text(fit_text(rest, column.width, column.page.glyphs), style="dim")]


def _pool_line(column: _PoolColumn, pool: Pool) -> Text:
    share, glyphs = pool.share, column.page.glyphs
    style = _pool_style(share)
    numbers = glyphs.show_text(f"{format_count(pool.in_use)}/{format_count(pool.maximum)}").rjust(7)
    cells = max(column.width - column.name - len(numbers) - 4, 1)
    line = Text(fit_end(pool.instance, column.name, glyphs) + " ", no_wrap=True)
    line.append(draw_bar(share, cells, [POOL_LIMIT], style, glyphs))
    return line.append(f" {numbers}{' !' if share > POOL_LIMIT else ''}", style=style)


def _pool_style(share: float) -> str:
    """Return green, yellow from two thirds of the limit on, red above the limit."""
    if share > POOL_LIMIT:
        return "bold red"
    return "yellow" if share > POOL_LIMIT * 2 / 3 else "green"


def evidence_panel(page: Canvas, evidence: Sequence[Evidence], rows: int) -> list[Text]:
    """Render a heading and at most `rows` metrics, those nearest to their threshold."""
    head = Text("evidence against the canary, log scale; full = roll back", style="dim")
    if not evidence:
        return [head, Text("none yet", style="dim")]
    ranked = sorted(range(len(evidence)), key=lambda index: -evidence_share(evidence[index]))
    shown = sorted(ranked[: max(rows, 1)])
    width = name_width(item.metric for item in evidence)
    return [head, *(_metric_line(page, evidence[index], width) for index in shown)]


def _metric_line(page: Canvas, evidence: Evidence, name: int) -> Text:
    glyphs = page.glyphs
    numbers = f"{format_amount(evidence.value)} of {format_amount(evidence.threshold)}"
    style = VERDICT_STYLES.get(evidence.verdict, "default")
    cells = max(min(page.width - name - 29, 40), 1)
    line = Text(fit_text(evidence.metric, name, glyphs) + " ", no_wrap=True)
    line.append(draw_bar(evidence_share(evidence), cells, [], style, glyphs))
    line.append(fit_text(numbers, 16, glyphs, right=True) + " ")
    line.append(fit_text(evidence.verdict, 11, glyphs), style=style)
    room = page.width - line.cell_len - 1
    if room >= LONG_NAME and evidence.message:
        line.append(" " + fit_text(evidence.message, room, glyphs), style="dim")
    return line


def evidence_share(evidence: Evidence) -> float:
    """Return how close `evidence` is to the threshold, 0–1, on a log scale.

    An e-value starts at 1 (no evidence); other quantities at a hundredth of their threshold.
    """
    if not evidence.value > 0 or not evidence.threshold > 0:
        return 0.0
    if math.isinf(evidence.value):
        return 1.0
    start = 1.0 if evidence.threshold >= E_VALUE_THRESHOLD else evidence.threshold / 100
    way = math.log(evidence.value / start) / math.log(evidence.threshold / start)
    return min(max(way, 0.0), 1.0)
