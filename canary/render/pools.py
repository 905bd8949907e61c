"""Connection pools as they stand: a picture for terminals, a table in a pipe, data for machines."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from canary.render.bars import Glyphs, bar, fitted, glyphs_for, tail
from canary.render.releases import table
from canary.render.words import POOL_LIMIT, amount, clean, duration, percent

SCHEMA_VERSION: Final = 1
"""Rises when something that a reader relies on changes; new members do not raise it."""
WIDEST = 140
"""Cells; wider lines are harder to read, not better."""
SOON = 2 * 3600.0
"""Seconds: a pool that is empty before is an emergency, as in the alerts."""
_NONE = "-"
_WIDTHS = {"in use": 9, "share": 6, "waiting": 7, "held": 6, "empty in": 12}
_LEAST_BAR, _LEAST_POD = 8, 16
_LONGEST = 20
"""Cells of a namespace, a service or a pool's name."""


@dataclass(frozen=True, slots=True)
class PoolNow:
    """One pool of one pod, now; None where the exporter does not tell.

    `timeouts` are callers that got no connection in the last ten minutes, `held` the connections
    beyond rate × hold time, `empty_in` seconds, where connections are being lost.
    """

    preset: str
    namespace: str
    service: str
    version: str
    pod: str
    pool: str
    in_use: float
    maximum: float | None = None
    waiting: float | None = None
    timeouts: float | None = None
    held: float | None = None
    empty_in: float | None = None

    @property
    def share(self) -> float | None:
        """Of the pool that is in use, 0–1."""
        return self.in_use / self.maximum if self.maximum else None

    @property
    def left(self) -> float:
        """Seconds until nothing is free: 0 where nothing is, infinite where no end is in sight."""
        if self.share is not None and self.share >= 1:
            return 0.0
        return math.inf if self.empty_in is None else self.empty_in


def by_nearness(pools: Sequence[PoolNow]) -> tuple[PoolNow, ...]:
    """The nearest to its end first: by time to exhaustion, then by share in use, then by name."""
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


def document(pools: Sequence[PoolNow], at: float) -> dict[str, Any]:
    """For machines; `at` in seconds since the epoch."""
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
                "share": _rounded(one.share),
                "waiting": one.waiting,
                "timeouts": _rounded(one.timeouts),
                "held": _rounded(one.held),
                "secondsToExhaustion": _rounded(None if math.isinf(one.left) else one.left),
            }
            for one in pools
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


HEADS = (
    *("NAMESPACE", "SERVICE", "VERSION", "POD", "POOL", "PRESET", "IN-USE", "MAX", "SHARE"),
    *("WAITING", "TIMEOUTS", "HELD", "EMPTY-IN"),
)


def plain(pools: Sequence[PoolNow]) -> list[str]:
    """A table without colours, whose columns never hold a blank."""
    return table([HEADS, *map(row, pools)])


def row(one: PoolNow) -> list[str]:
    """The cells of a table's line; what is not known is `-`."""
    cells = (
        *(one.namespace, one.service, one.version, one.pod, one.pool, one.preset),
        *map(_number, (one.in_use, one.maximum)),
        percent(one.share) if one.share is not None else "",
        *map(_number, (one.waiting, one.timeouts, one.held)),
        "" if math.isinf(one.left) else duration(one.left),
    )
    return [clean(cell).replace(" ", "") or _NONE for cell in cells]


def _number(value: float | None) -> str:
    return "" if value is None else amount(round(value, 1) + 0.0)


@dataclass(frozen=True, slots=True)
class PoolsView:
    """The picture for a terminal; not `whole`: as many lines as it has, the fullest pools stay."""

    pools: Sequence[PoolNow]
    title: str
    whole: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width - 1, WIDEST)
        glyphs = glyphs_for(options.encoding)
        shown = len(self.pools)
        if not self.whole:
            shown = max((options.height or options.max_height) - 5, 1)
        for line in _picture(self, glyphs, width, shown):
            line.truncate(width)
            line.rstrip()
            yield from console.render(line, options.update(no_wrap=True, overflow="crop"))


def _picture(view: PoolsView, glyphs: Glyphs, width: int, shown: int) -> Iterator[Text]:
    columns = _Columns.of(view.pools, width)
    yield Text(glyphs.text(view.title), style="bold")
    yield Text(columns.heads(glyphs), style="dim")
    for one in view.pools[:shown]:
        yield columns.line(one, glyphs)
    if (left_out := len(view.pools) - shown) > 0:
        yield Text(f"and {left_out} more, none of them nearer to its end", style="dim")
    yield Text(
        glyphs.text(
            f"{glyphs.mark_empty} {percent(POOL_LIMIT)} · held: in use beyond rate × hold time, "
            "which nobody gives back"
        ),
        style="dim",
    )


@dataclass(frozen=True, slots=True)
class _Columns:
    """How many cells each column has; 0: it is left out."""

    namespace: int
    service: int
    version: int
    pod: int
    pool: int
    bar: int

    @classmethod
    def of(cls, pools: Sequence[PoolNow], width: int) -> "_Columns":
        """Names get what they need, then the bar the rest; in a narrow terminal names give way."""
        several = len({one.namespace for one in pools}) > 1
        named = any(one.pool for one in pools)
        wide = {
            "namespace": _longest([one.namespace for one in pools], "namespace") if several else 0,
            "service": _longest([one.service for one in pools], "service"),
            "version": _longest([one.version for one in pools], "version"),
            "pool": _longest([one.pool for one in pools], "pool") if named else 0,
        }
        pod = max((len(one.pod) for one in pools), default=0)
        numbers = sum(_WIDTHS.values()) + len(_WIDTHS)
        for victim in ("pool", "version", "service", "namespace", ""):
            room = width - numbers - sum(size + 1 for size in wide.values() if size)
            if room >= _LEAST_POD + _LEAST_BAR + 2 or not victim:
                break
            wide[victim] = 0
        pod = max(min(pod, room - _LEAST_BAR - 2), 3)
        return cls(**wide, pod=pod, bar=max(min(room - pod - 2, 40), 0))

    def heads(self, glyphs: Glyphs) -> str:
        """The line above."""
        names = [fitted(name.upper(), size, glyphs) for name, size in self._names() if size]
        numbers = [fitted(name.upper(), size, glyphs, right=True) for name, size in _WIDTHS.items()]
        return " ".join([*names, " " * self.bar, *numbers])

    def _names(self) -> list[tuple[str, int]]:
        return [(name, size) for name, size in asdict(self).items() if name != "bar"]

    def line(self, one: PoolNow, glyphs: Glyphs) -> Text:
        """One pool."""
        style = style_of(one)
        named = [
            (tail if name == "pod" else fitted)(getattr(one, name) or _NONE, size, glyphs)
            for name, size in self._names()
            if size
        ]
        empty = (
            Text(" " * self.bar)
            if one.share is None
            else bar(one.share, self.bar, [POOL_LIMIT], style, glyphs)
        )
        numbers = (
            f"{amount(one.in_use)}/{amount(one.maximum) if one.maximum else '?'}",
            percent(one.share) if one.share is not None else _NONE,
            _number(one.waiting) or _NONE,
            _number(one.held) or _NONE,
            _end(one),
        )
        cells = [
            fitted(cell, size, glyphs, right=True)
            for cell, size in zip(numbers, _WIDTHS.values(), strict=True)
        ]
        return Text(" ").join([*map(Text, named), empty, Text(" ".join(cells), style=style)])


def _end(one: PoolNow) -> str:
    if one.left == 0:
        return "is empty"
    return _NONE if math.isinf(one.left) else duration(one.left)


def style_of(one: PoolNow) -> str:
    """Red where users feel it soon, yellow above the line or while connections are lost."""
    if one.left < SOON or (one.waiting or 0) > 0:
        return "bold red"
    if not math.isinf(one.left) or (one.share or 0) > POOL_LIMIT:
        return "yellow"
    return "green"


def _longest(names: Sequence[str], head: str) -> int:
    return min(max([len(head), *map(len, names)]), _LONGEST)
