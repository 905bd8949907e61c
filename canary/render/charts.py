"""Renders a timeline as one figure: stacked panels on one time axis.

The figure is plain data for plotly.js. Colors are names of CSS variables, such as
`var(--canary)`, which the page replaces with those of the reader's light or dark theme.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from canary.render.chart_data import (
    ChartLine,
    ChartPanel,
    Json,
    Point,
    build_panels,
    step_corners,
    thin_points,
)
from canary.render.timeline import ReleaseDecision, Timeline
from canary.text.sanitize import strip_controls

GAP, TOP, BOTTOM = 62, 52, 46
"""Pixels between panels, above them and below them."""
MINUTES_FROM = 300.0
"""Length in seconds from which the time axis is in minutes."""
LABEL_DISTANCE = 0.06
"""Two decisions closer than this share of the time axis get one label."""


def build_figure(timeline: Timeline, points: int) -> Json:
    """Return data and layout for plotly.js, about `points` points per line; {} without moments."""
    drawn = build_panels(timeline)
    if not drawn:
        return {}
    span = timeline.moments[0].time, timeline.moments[-1].time
    unit = TimeUnit(60.0, "min") if span[1] - span[0] > MINUTES_FROM else TimeUnit(1.0, "s")
    places = list(_panel_domains([panel.height for panel in drawn]))
    traces = [
        _build_trace(line, number, unit, points)
        for number, panel in enumerate(drawn, start=1)
        for line in panel.lines
    ]
    return {"data": traces, "layout": _build_layout(timeline, drawn, places, unit)}


@dataclass(frozen=True, slots=True)
class TimeUnit:
    """The unit of the time axis, `seconds` long."""

    seconds: float
    name: str

    def convert_seconds(self, seconds: float) -> float:
        """Return `seconds` in this unit, precise to a pixel."""
        return round(seconds / self.seconds, 3)


def _panel_domains(heights: Sequence[int]) -> Iterator[tuple[float, float]]:
    """Return each panel's position as shares of the plot's height, from 1 at the top down."""
    total = sum(heights) + GAP * (len(heights) - 1)
    top = total
    for height in heights:
        yield max((top - height) / total, 0.0), top / total
        top -= height + GAP


def _axis_suffix(number: int) -> str:
    return "" if number == 1 else str(number)


def _build_trace(line: ChartLine, number: int, unit: TimeUnit, points: int) -> Json:
    kept = _select_points(line, points)
    trace: Json = {
        "type": "scatter",
        "mode": "lines",
        "name": _escape_label(line.name),
        "x": [unit.convert_seconds(time) for time, _ in kept],
        "y": [_round_value(value) for _, value in kept],
        "customdata": [
            None if value is None else _escape_label(line.words(value)) for _, value in kept
        ],
        "hovertemplate": "%{customdata}<extra>%{fullData.name}</extra>",
        "xaxis": "x",
        "yaxis": f"y{_axis_suffix(number)}",
        "line": {"color": f"var(--{line.color})", "width": line.width, "dash": line.dash},
    }
    if line.stepped:
        trace["line"]["shape"] = "hv"
        trace |= {"fill": "tozeroy", "fillcolor": "var(--soft)"}
    return trace


def _escape_label(words: str) -> str:
    """Escape text for plotly.js, which interprets its own tags and entities."""
    return escape(strip_controls(words), quote=False)


def _select_points(line: ChartLine, points: int) -> list[Point]:
    """Downsample the points; a step line also keeps every corner."""
    kept = thin_points(line.points, points)
    return sorted({*kept, *step_corners(line.points)}) if line.stepped else kept


def _round_value(value: float | None) -> float | None:
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None


def _build_layout(
    timeline: Timeline,
    drawn: Sequence[ChartPanel],
    places: Sequence[tuple[float, float]],
    unit: TimeUnit,
) -> Json:
    last = len(drawn)
    height = sum(panel.height for panel in drawn) + GAP * (last - 1) + TOP + BOTTOM
    layout: Json = {
        "height": height,
        "margin": {"l": 52, "r": 12, "t": TOP, "b": BOTTOM},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "var(--ink)"},
        "showlegend": False,
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "hoverlabel": {"bgcolor": "var(--card)", "font": {"color": "var(--ink)"}},
        "xaxis": _time_axis(timeline, last, unit),
        "shapes": [*_limit_lines(drawn), *_decision_lines(timeline, unit)],
        "annotations": [
            *_panel_titles(drawn, places),
            *_limit_labels(drawn),
            *_decision_labels(timeline, unit),
        ],
    }
    for number, (panel, place) in enumerate(zip(drawn, places, strict=True), start=1):
        layout[f"yaxis{_axis_suffix(number)}"] = _value_axis(panel, place)
    return layout


GRID = {"gridcolor": "var(--grid)", "linecolor": "var(--grid)", "zeroline": False}


def _time_axis(timeline: Timeline, last: int, unit: TimeUnit) -> Json:
    start, end = timeline.moments[0].time, timeline.moments[-1].time
    return GRID | {
        "anchor": f"y{_axis_suffix(last)}",
        "range": [unit.convert_seconds(start), unit.convert_seconds(max(end, start + 1))],
        "ticksuffix": f" {unit.name}",
        "nticks": 8,
        "hoverformat": ".0f" if unit.seconds == 1 else ".1f",
        "title": {"text": "since the release began", "standoff": 6, "font": {"size": 12}},
        "tickfont": {"color": "var(--muted)"},
    }


def _value_axis(panel: ChartPanel, place: tuple[float, float]) -> Json:
    fixed = {"domain": list(place), "anchor": "x", "fixedrange": True}
    return GRID | {"tickfont": {"color": "var(--muted)"}} | fixed | panel.axis


def _panel_titles(
    drawn: Sequence[ChartPanel], places: Sequence[tuple[float, float]]
) -> Iterator[Json]:
    for panel, (_, top) in zip(drawn, places, strict=True):
        yield _build_annotation(
            f"<b>{panel.title}</b>", x=0, y=top, xref="paper", yref="paper", yshift=6
        )


def _build_annotation(words: str, **where: float | str) -> Json:
    place = {"xanchor": "left", "yanchor": "bottom", "showarrow": False}
    return {"text": words, "font": {"color": "var(--ink)"}} | place | where


def _limit_lines(drawn: Sequence[ChartPanel]) -> Iterator[Json]:
    for number, panel in enumerate(drawn, start=1):
        if panel.limit is not None:
            y = {"yref": f"y{_axis_suffix(number)}", "y0": panel.limit, "y1": panel.limit}
            look = {"color": "var(--limit)", "width": 1.6, "dash": "8px,4px"}
            yield {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "line": look} | y


def _limit_labels(drawn: Sequence[ChartPanel]) -> Iterator[Json]:
    for number, panel in enumerate(drawn, start=1):
        if panel.limit is not None:
            y = math.log10(panel.limit) if panel.axis.get("type") == "log" else panel.limit
            where: dict[str, float | str] = {"x": 0, "y": y, "xref": "paper"}
            note = _build_annotation(
                panel.limit_words, **where, yref=f"y{_axis_suffix(number)}", xshift=4, yshift=1
            )
            yield note | {"font": {"color": "var(--limit)", "size": 12}}


def _decision_lines(timeline: Timeline, unit: TimeUnit) -> Iterator[Json]:
    """Return a vertical line through all panels at each decision."""
    for time in dict.fromkeys(
        unit.convert_seconds(decision.time) for decision in timeline.decisions
    ):
        look = {"color": "var(--muted)", "width": 1, "dash": "dot"}
        x = {"xref": "x", "x0": time, "x1": time}
        yield {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": look} | x


def _decision_labels(timeline: Timeline, unit: TimeUnit) -> Iterator[Json]:
    """Return labels above the lines with the decisions' numbers in the table below."""
    length = timeline.moments[-1].time - timeline.moments[0].time
    for first, last, time in _group_decisions(timeline.decisions, length * LABEL_DISTANCE):
        words = f"{first}" if first == last else f"{first}–{last}"
        where: dict[str, float | str] = {
            "x": unit.convert_seconds(time),
            "y": 1,
            "xref": "x",
            "yref": "paper",
        }
        yield (
            _build_annotation(f"<b>{words}</b>", **where, yshift=28) | {"xanchor": "center"} | BADGE
        )


BADGE: Json = {
    "font": {"size": 11, "color": "var(--card)"},
    "bgcolor": "var(--muted)",
    "borderpad": 2,
}


def _group_decisions(
    decisions: Sequence[ReleaseDecision], near: float
) -> list[tuple[int, int, float]]:
    """Return `(first number, last number, time)`; decisions close together are one group."""
    groups: list[tuple[int, int, float]] = []
    for number, decision in enumerate(decisions, start=1):
        if groups and decision.time - groups[-1][2] < near:
            groups[-1] = (groups[-1][0], number, groups[-1][2])
        else:
            groups.append((number, number, decision.time))
    return groups
