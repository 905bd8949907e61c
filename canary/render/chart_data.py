"""Turns a timeline into chart panels: weight, errors, pools and evidence, each as lines."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from canary.render.bars import POOL_LIMIT
from canary.render.timeline import Evidence, Moment, Numbers, Timeline
from canary.text.format import format_amount, format_percent

Point = tuple[float, float | None]
"""Time in seconds and a value; None is a gap."""


def thin_points(points: Sequence[Point], limit: int) -> list[Point]:
    """Return about `limit` of `points`: both ends, and each interval's lowest, highest and gap.

    This is min-max decimation, as in plotting tools; it keeps a spike of a single sample.
    """
    if len(points) <= limit:
        return list(points)
    stretches = max((limit - 2) // 3, 1)
    size = math.ceil(len(points) / stretches)
    kept = {0, len(points) - 1}
    for start in range(0, len(points), size):
        kept.update(_find_extremes(points, range(start, min(start + size, len(points)))))
    return [points[index] for index in sorted(kept)]


def _find_extremes(points: Sequence[Point], stretch: range) -> set[int]:
    values = [(value, index) for index in stretch if (value := points[index][1]) is not None]
    gap = next((index for index in stretch if points[index][1] is None), None)
    ends = {min(values)[1], max(values)[1]} if values else set()
    return ends if gap is None else ends | {gap}


def step_corners(points: Sequence[Point]) -> list[Point]:
    """Return the corners of a step line: each change of value, and both ends."""
    return [
        point
        for index, point in enumerate(points)
        if index in {0, len(points) - 1} or point[1] != points[index - 1][1]
    ]


Json = dict[str, Any]

MOST_POOLS = 24
"""Largest number of lines; with more instances only the fullest are drawn."""
DASHES = ("solid", "dash", "dot", "dashdot")
TICK_STEPS = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
"""Distances between ticks on an axis of shares."""
FLOOR, CEILING = 0.01, 1000.0
"""Evidence is drawn between these multiples of its threshold."""


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One line of a panel: `points` in seconds and in the panel's own unit."""

    name: str
    points: list[Point]
    color: str
    dash: str = "solid"
    width: float = 1.8
    stepped: bool = False
    words: Callable[[float], str] = format_percent
    """Formats a value for the tooltip."""


@dataclass(frozen=True, slots=True)
class ChartPanel:
    """One of the stacked charts."""

    title: str
    height: int
    """Height in pixels."""
    axis: Json
    lines: list[ChartLine]
    limit: float | None = None
    """Where a dashed line is drawn, with `limit_words` on it."""
    limit_words: str = ""


def build_panels(timeline: Timeline) -> list[ChartPanel]:
    """Return all panels that have data, top to bottom."""
    if not timeline.moments:
        return []
    made = (
        _weight_panel(timeline),
        _errors_panel(timeline),
        _pools_panel(timeline),
        _evidence_panel(timeline),
    )
    return [panel for panel in made if panel.lines]


def name_new_version(timeline: Timeline) -> str:
    """Return what readers call the new version; without canary it is not a canary."""
    return "canary" if timeline.guarded else "new version"


def _weight_panel(timeline: Timeline) -> ChartPanel:
    points: list[Point] = [(m.time, m.weight / 100) for m in timeline.moments]
    line = ChartLine("weight", points, "canary", width=2.4, stepped=True)
    axis = _share_axis(1.0)
    return ChartPanel(f"Traffic to the {name_new_version(timeline)}", 120, axis, [line])


def _share_axis(highest: float) -> Json:
    """Return an axis from 0 to a share of `highest`, with about four round ticks."""
    step = next(nice for nice in TICK_STEPS if nice * 4 >= highest)
    ticks = [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]
    words = [format_percent(tick) for tick in ticks]
    return {"range": [-highest / 30, highest * 1.08], "tickvals": ticks, "ticktext": words}


def _errors_panel(timeline: Timeline) -> ChartPanel:
    """Return both versions' share of failed requests."""
    sides: tuple[tuple[str, Callable[[Moment], Numbers], float], ...] = (
        ("stable", lambda moment: moment.stable, 1.6),
        ("canary", lambda moment: moment.canary, 2.4),
    )
    names = {"stable": "stable", "canary": name_new_version(timeline)}
    drawn = [
        ChartLine(f"failed, {names[side]}", _error_points(timeline, numbers), side, width=width)
        for side, numbers, width in sides
    ]
    lines = [line for line in drawn if any(value is not None for _, value in line.points)]
    highest = max((v for line in lines for _, v in line.points if v is not None), default=0.0)
    return ChartPanel("Failed requests", 150, _share_axis(max(highest, 0.01)), lines)


def _error_points(timeline: Timeline, numbers: Callable[[Moment], Numbers]) -> list[Point]:
    return [(moment.time, _clamp_ratio(numbers(moment).error_ratio)) for moment in timeline.moments]


def _clamp_ratio(ratio: float | None) -> float | None:
    """Return a share above 1, from a scrape during a request, as 1, and NaN as a gap."""
    return min(ratio, 1.0) if ratio is not None and math.isfinite(ratio) else None


def list_instances(timeline: Timeline) -> list[tuple[str, str]]:
    """Return `(side, instance)` of all pools in order of appearance, stable first."""
    seen = dict.fromkeys((p.side, p.instance) for m in timeline.moments for p in m.pools)
    return sorted(seen, key=lambda key: key[0] != "stable")


def _pools_panel(timeline: Timeline) -> ChartPanel:
    """Return a line per instance; only the fullest if there are too many to tell apart."""
    looks = [{(p.side, p.instance): p.share for p in m.pools} for m in timeline.moments]
    every = list_instances(timeline)
    fullest = sorted(every, key=lambda key: -max(look.get(key, 0.0) for look in looks))
    shown = set(fullest[:MOST_POOLS])
    placed = {side: [key for key in every if key[0] == side] for side, _ in every}
    lines = [
        ChartLine(
            key[1],
            [(m.time, look.get(key)) for m, look in zip(timeline.moments, looks, strict=True)],
            "canary" if key[0] == "canary" else "stable",
            DASHES[placed[key[0]].index(key) % len(DASHES)],
        )
        for key in every
        if key in shown
    ]
    left_out = len(every) - len(lines)
    title = "Connections in use" + (f" (the {MOST_POOLS} fullest)" if left_out else "")
    axis = _share_axis(1.0)
    return ChartPanel(title, 190, axis, lines, POOL_LIMIT, "limit")


def _evidence_panel(timeline: Timeline) -> ChartPanel:
    """Return a line per metric as a multiple of its own threshold, on a log scale."""
    looks = [{e.metric: e for e in m.evidence} for m in timeline.moments]
    metrics = list(dict.fromkeys(name for look in looks for name in look))
    lines = [
        ChartLine(
            f"evidence, {metric}",
            [
                (m.time, _threshold_multiple(look.get(metric)))
                for m, look in zip(timeline.moments, looks, strict=True)
            ],
            f"metric{index % 4}",
            DASHES[index % len(DASHES)],
            width=2.2,
            words=_format_multiple,
        )
        for index, metric in enumerate(metrics)
    ]
    highest = max((v for line in lines for _, v in line.points if v is not None), default=1.0)
    top = max(math.log10(highest), 0.0) + 0.3
    axis = {
        "type": "log",
        "range": [math.log10(FLOOR) - 0.05, top],
        "tickvals": [0.01, 0.1, 1, 10, 100, 1000],
        "ticktext": ["1 %", "10 %", "100 %", "× 10", "× 100", "× 1000"],
    }
    return ChartPanel("Evidence, share of threshold", 170, axis, lines, 1.0, "roll back")


def _threshold_multiple(evidence: Evidence | None) -> float | None:
    if evidence is None or not evidence.threshold > 0 or math.isnan(evidence.value):
        return None
    return min(max(evidence.value / evidence.threshold, FLOOR), CEILING)


def _format_multiple(multiple: float) -> str:
    if multiple <= FLOOR:
        return "1 % of the threshold, or less"
    return f"{format_amount(multiple * 100)} % of the threshold"
