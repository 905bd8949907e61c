"""Renders connection pools: a screen for terminals, a table for pipes, data for machines."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from canary.render.bars import POOL_LIMIT, Glyphs, draw_bar, fit_end, fit_text, glyphs_for
from canary.render.release_table import align_columns
from canary.text.format import format_amount, format_percent, human_duration
from canary.text.sanitize import strip_controls

SCHEMA_VERSION: Final = 1
"""Increases with every incompatible change; new fields do not increase it."""
WIDEST = 140
"""Maximum width in cells; wider lines are harder to read."""
URGENT = 2 * 3600.0
"""Seconds: a pool that will be exhausted sooner is an emergency, as in the alerts."""
_NONE = "-"
_WIDTHS = {"in use": 7, "share": 6, "waiting": 7, "held": 5, "empty in": 11}
_OPTIONAL_COLUMNS = ("pool", "share", "version", "service", "namespace", "held", "waiting")
"""Columns in the order in which they are dropped if there is no room."""
_LEAST_BAR, _WIDEST_BAR = 8, 40
_LEAST_POD = 10
_LONGEST = 20
"""Width in cells of the name of a namespace, service or pool."""


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """Current state of one pool of one pod; None if the exporter does not report a value.

    `timeouts` counts callers that got no connection in the last ten minutes; `held` counts
    connections beyond rate × hold time; `empty_in` is in seconds, if connections are being lost.
    `in_use` is None if the gauge is NaN.
    """

    preset: str
    namespace: str
    service: str
    version: str
    pod: str
    pool: str
    in_use: float | None = None
    maximum: float | None = None
    waiting: float | None = None
    timeouts: float | None = None
    held: float | None = None
    empty_in: float | None = None

    @property
    def share(self) -> float | None:
        """Return the share of the pool that is in use, 0–1."""
        if self.in_use is None or not self.maximum:
            return None
        return self.in_use / self.maximum

    @property
    def left(self) -> float:
        """Return seconds until no connection is free: 0 if none is, infinite without a forecast."""
        if self.share is not None and self.share >= 1:
            return 0.0
        return math.inf if self.empty_in is None else self.empty_in


def sort_by_urgency(pools: Sequence[PoolSnapshot]) -> tuple[PoolSnapshot, ...]:
    """Sort by time to exhaustion, then by share in use (descending), then by name."""
    return tuple(
        sorted(
            pools,
            key=lambda one: (
                one.left,
                -1.0 * (one.share if one.share is not None else -1.0),
                (one.namespace, one.service, one.version, one.pod, one.pool),
            ),
        )
    )


def pools_document(pools: Sequence[PoolSnapshot], at: float) -> dict[str, Any]:
    """Return the pools as a JSON document; `at` is in seconds since the epoch."""
    return {
        "schemaVersion": SCHEMA_VERSION,
        "at": at,
        "pools": [
            {
                "namespace": one.namespace,
                "service": one.service,
                "version": one.version,
                "pod": one.pod,
                "pool": one.pool,
                "preset": one.preset,
                "inUse": one.in_use,
                "maximum": one.maximum,
                "share": _round_value(one.share),
                "waiting": one.waiting,
                "timeouts": _round_value(one.timeouts),
                "held": _round_value(one.held),
                "secondsToExhaustion": _round_value(None if math.isinf(one.left) else one.left),
            }
            for one in pools
        ],
    }


def _round_value(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


HEADS = (
    *("NAMESPACE", "SERVICE", "VERSION", "POD", "POOL", "PRESET", "IN-USE", "MAX", "SHARE"),
    *("WAITING", "TIMEOUTS", "HELD", "EMPTY-IN"),
)


def format_table(pools: Sequence[PoolSnapshot]) -> list[str]:
    """Return a table without colors, whose cells contain no spaces."""
    return align_columns([HEADS, *map(format_row, pools)])


def format_row(one: PoolSnapshot) -> list[str]:
    """Return the cells of a row; unknown values are `-`."""
    cells = (
        *(one.namespace, one.service, one.version, one.pod, one.pool, one.preset),
        *(_in_use(one), _format_number(one.maximum)),
        format_percent(one.share) if one.share is not None else "",
        *map(_format_number, (one.waiting, one.timeouts, one.held)),
        "" if math.isinf(one.left) else human_duration(one.left),
    )
    return [strip_controls(cell).replace(" ", "") or _NONE for cell in cells]


def _in_use(one: PoolSnapshot) -> str:
    return "NaN" if one.in_use is None else _format_number(one.in_use)


def _format_number(value: float | None) -> str:
    """Format with at most one decimal; never `-0`."""
    if value is None:
        return ""
    return format_amount(value) if abs(value) >= 1 else f"{abs(value):.1f}".removesuffix(".0")


@dataclass(frozen=True, slots=True)
class PoolsView:
    """Render the pools for a terminal; unless `whole`, limited to its height, fullest pools first.

    `trouble` is why the figures are not current.
    """

    pools: Sequence[PoolSnapshot]
    title: str
    whole: bool = True
    trouble: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width - 1, WIDEST)
        glyphs = glyphs_for(options.encoding)
        shown = len(self.pools)
        if not self.whole:
            shown = max((options.height or options.max_height) - 5 - bool(self.trouble), 1)
        for line in _render_lines(self, glyphs, width, shown):
            line.truncate(width)
            line.rstrip()
            yield from console.render(line, options.update(no_wrap=True, overflow="crop"))


def _render_lines(view: PoolsView, glyphs: Glyphs, width: int, shown: int) -> Iterator[Text]:
    columns = _Columns.fit_width(view.pools, width)
    yield Text(glyphs.show_text(view.title), style="bold")
    if view.trouble:
        yield Text(fit_text(view.trouble, width, glyphs), style="yellow")
    yield Text(columns.heads(glyphs), style="dim")
    for one in view.pools[:shown]:
        yield columns.line(one, glyphs)
    if (left_out := len(view.pools) - shown) > 0:
        yield Text(f"and {left_out} more, none closer to exhaustion", style="dim")
    yield Text(
        glyphs.show_text(
            f"{glyphs.mark_empty} {format_percent(POOL_LIMIT)} · held: in use beyond rate × hold "
            "time, so probably leaked"
        ),
        style="dim",
    )


@dataclass(frozen=True, slots=True)
class _Columns:
    """Widths in cells of all columns; columns without room are dropped."""

    names: Mapping[str, int]
    bar: int
    numbers: Mapping[str, int]

    @classmethod
    def fit_width(cls, pools: Sequence[PoolSnapshot], width: int) -> "_Columns":
        """Return widths: names first, the bar gets the rest; narrow terminals drop columns."""
        names = {
            "namespace": _name_width(pools, "namespace"),
            "service": _name_width(pools, "service"),
            "version": _name_width(pools, "version"),
            "pod": _LEAST_POD,
            "pool": _name_width(pools, "pool"),
        }
        numbers = dict(_WIDTHS)
        if len({one.namespace for one in pools}) == 1:
            del names["namespace"]
        if not any(one.pool for one in pools):
            del names["pool"]
        for victim in _OPTIONAL_COLUMNS:
            if _bar_room(names, numbers, width) >= _LEAST_BAR:
                break
            names.pop(victim, None)
            numbers.pop(victim, None)
        room = _bar_room(names, numbers, width)
        names["pod"] += max(min(_widest_name(pools, "pod") - _LEAST_POD, room - _LEAST_BAR), 0)
        return cls(names, max(min(_bar_room(names, numbers, width), _WIDEST_BAR), 0), numbers)

    def heads(self, glyphs: Glyphs) -> str:
        """Return the heading line."""
        names = [fit_text(name.upper(), size, glyphs) for name, size in self.names.items()]
        numbers = [
            fit_text(name.upper(), size, glyphs, right=True) for name, size in self.numbers.items()
        ]
        return " ".join([*names, " " * self.bar, *numbers])

    def line(self, one: PoolSnapshot, glyphs: Glyphs) -> Text:
        """Return the line of one pool."""
        style, share = choose_style(one), one.share
        named = [
            (fit_end if name == "pod" else fit_text)(getattr(one, name) or _NONE, size, glyphs)
            for name, size in self.names.items()
        ]
        drawn = Text(" " * self.bar)
        if share is not None:
            drawn = draw_bar(share, self.bar, [POOL_LIMIT], style, glyphs)
        cells = _number_cells(one)
        numbers = [
            fit_text(cells[name], size, glyphs, right=True) for name, size in self.numbers.items()
        ]
        return Text(" ").join([*map(Text, named), drawn, Text(" ".join(numbers), style=style)])


def _bar_room(names: Mapping[str, int], numbers: Mapping[str, int], width: int) -> int:
    """Return the number of cells left for the bar."""
    taken = [*names.values(), *numbers.values()]
    return width - sum(taken) - len(taken)


def _name_width(pools: Sequence[PoolSnapshot], name: str) -> int:
    return min(max(len(name), _widest_name(pools, name)), _LONGEST)


def _widest_name(pools: Sequence[PoolSnapshot], name: str) -> int:
    return max((cell_len(getattr(one, name)) for one in pools), default=0)


def _number_cells(one: PoolSnapshot) -> Mapping[str, str]:
    return {
        "in use": f"{_in_use(one)}/{format_amount(one.maximum) if one.maximum else '?'}",
        "share": format_percent(one.share) if one.share is not None else _NONE,
        "waiting": _format_number(one.waiting) or _NONE,
        "held": _format_number(one.held) or _NONE,
        "empty in": _format_end(one),
    }


def _format_end(one: PoolSnapshot) -> str:
    if one.left == 0:
        return "exhausted"
    return _NONE if math.isinf(one.left) else human_duration(one.left)


def choose_style(one: PoolSnapshot) -> str:
    """Return red near exhaustion, yellow above the limit or while connections leak."""
    if one.left < URGENT or (one.waiting or 0) > 0:
        return "bold red"
    if not math.isinf(one.left) or (one.share or 0) > POOL_LIMIT:
        return "yellow"
    return "green"
