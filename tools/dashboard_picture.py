"""A picture of one of our dashboards: `python -m tools.dashboard_picture FILE.png DASHBOARD.json`.

Every panel's own queries are asked of a Prometheus (PROMETHEUS_URL), and drawn as their type says.
It is not Grafana, which the machine that makes the pictures does not have: it knows only what our
dashboards use. Needs chromium.
"""

import argparse
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests

from tools.photograph import photograph

Panel = Mapping[str, Any]
Points = Sequence[tuple[float, float]]
_COLORS = {
    "green": "#73bf69", "yellow": "#fade2a", "red": "#f2495c", "blue": "#5794f2", "text": "#9fa7b3",
    "orange": "#ff9830", "purple": "#b877d9",
}  # fmt: skip
_PALETTE = ("#73bf69", "#fade2a", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#ffa6b0")
_ROW, _WIDTH, _STEPS = 34, 516, 240
"""Pixels of a row of the grid, and of a drawing in half of its columns; samples of a line."""
_STYLE = """
body{margin:0;background:#111217;color:#d8d9da;font:12px system-ui,sans-serif}
h1{font-size:17px;font-weight:500;margin:10px 14px}
main{display:grid;grid-template-columns:repeat(24,1fr);grid-auto-rows:34px;gap:6px}
main{padding:0 10px 10px}
section{background:#181b1f;border:1px solid #2a2d33;border-radius:3px;padding:6px 10px}
section{overflow:hidden}
h2{font-size:12px;font-weight:500;margin:0 0 4px}
.stat{font-size:44px;font-weight:500;text-align:center;line-height:96px}
svg{display:block;width:100%}
svg text{fill:#9fa7b3;font:11px system-ui}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:4px 8px;border-bottom:1px solid #2a2d33;font-weight:400}
th{color:#8ab8ff}
.legend{font-size:11px;margin-top:2px;columns:2}
.legend i{display:inline-block;width:12px;height:3px;margin-right:5px;vertical-align:3px}
.bar{height:14px;border-radius:2px;display:inline-block;vertical-align:middle;margin-right:6px}
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its legend, its labels, its points (seconds since the epoch, value)."""

    name: str
    labels: Mapping[str, str]
    points: Points


@dataclass(frozen=True, slots=True)
class Range:
    """What is asked, of whom."""

    url: str
    start: float
    end: float

    @property
    def step(self) -> float:
        """Seconds between two samples."""
        return max(5.0, (self.end - self.start) / _STEPS)

    def ask(self, expression: str, *, instant: bool) -> list[Mapping[str, Any]]:
        """The series that Prometheus answers with."""
        whole = round(self.end - self.start)
        text = expression.replace("$__range", f"{whole}s").replace("$__rate_interval", "1m")
        text = re.sub(r"\$\w+", ".*", text)
        kind = "query" if instant else "query_range"
        asked: dict[str, str | float] = {"query": text}
        asked |= {"time": self.end} if instant else self._times()
        answer = requests.post(f"{self.url}/api/v1/{kind}", data=asked, timeout=30)
        answer.raise_for_status()
        found: list[Mapping[str, Any]] = answer.json()["data"]["result"]
        return found

    def _times(self) -> dict[str, str | float]:
        return {"start": self.start, "end": self.end, "step": self.step}


def series(panel: Panel, over: Range, *, instant: bool) -> list[Series]:
    """The answers to all queries of a panel."""
    result = []
    for target in panel["targets"]:
        legend = target.get("legendFormat", "")
        for found in over.ask(target["expr"], instant=instant):
            labels = found["metric"]
            name = legend
            for label in re.findall(r"\w+", legend):
                name = name.replace(f"{{{{{label}}}}}", labels.get(label, ""))
            values = [found["value"]] if instant else found["values"]
            points = [(float(at), float(value)) for at, value in values]
            result.append(Series(name, labels, [one for one in points if math.isfinite(one[1])]))
    return sorted((one for one in result if one.points), key=lambda one: one.name)


def written(value: float, unit: str | None) -> str:
    """A number as people read it."""
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "percent":
        return f"{value:.3g}%"
    if unit == "s":
        return _duration(value)
    if abs(value) >= 1e4:  # noqa: PLR2004 - as Grafana's "short"
        return f"{value:.2g}"
    return f"{value:.3g}"


def _duration(seconds: float) -> str:
    for size, name in ((86400, "days"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds * 1000:.3g} ms"


def color_at(value: float, thresholds: Mapping[str, Any] | None) -> str:
    """By the last step that the value reaches."""
    reached = [
        step["color"]
        for step in (thresholds or {}).get("steps", ())
        if step["value"] is None or value >= step["value"]
    ]
    return _COLORS.get(reached[-1] if reached else "text", _COLORS["text"])


def defaults(panel: Panel) -> Mapping[str, Any]:
    """How a panel shows values."""
    found: Mapping[str, Any] = panel["fieldConfig"]["defaults"]
    return found


def draw_stat(panel: Panel, over: Range) -> str:
    """One number."""
    show = defaults(panel)
    answers = series(panel, over, instant=True)
    if not answers:
        return f'<div class="stat" style="color:#9fa7b3">{show.get("noValue", "")}</div>'
    value = answers[0].points[-1][1]
    color = color_at(value, show.get("thresholds"))
    return f'<div class="stat" style="color:{color}">{written(value, show.get("unit"))}</div>'


def draw_bars(panel: Panel, over: Range) -> str:
    """A bar per series."""
    answers = [one for one in series(panel, over, instant=True) if one.points[-1][1]]
    if not answers:
        return f"<p>{defaults(panel).get('noValue', '')}</p>"
    most = max(one.points[-1][1] for one in answers)
    rows = []
    for one in answers:
        value = one.points[-1][1]
        color = color_at(value, defaults(panel).get("thresholds"))
        bar = (
            f'<span class="bar" style="width:{220 * value / most:.0f}px;background:{color}"></span>'
        )
        rows.append(f"<tr><td>{escape(one.name)}</td><td>{bar}{value:.3g}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _height(panel: Panel, legend: int) -> int:
    rows = int(panel["gridPos"]["h"])
    return rows * _ROW + (rows - 1) * 6 - 44 - legend


def _time_axis(over: Range, width: int, left: int, bottom: int) -> str:
    ticks = (over.start + (over.end - over.start) * share / 4 for share in range(5))
    texts = []
    for index, at in enumerate(ticks):
        x = left + (width - left) * index / 4
        anchor = ("start", "middle", "middle", "middle", "end")[index]
        clock = time.strftime("%H:%M", time.gmtime(at))
        texts.append(f'<text x="{x:.0f}" y="{bottom + 14}" text-anchor="{anchor}">{clock}</text>')
    return "".join(texts)


def draw_lines(panel: Panel, over: Range) -> str:
    """Lines over time with an axis, a threshold and a legend."""
    show, answers = defaults(panel), series(panel, over, instant=False)
    rows = (len(answers) + 1) // 2
    width, left, height = _WIDTH, 46, max(70, _height(panel, 15 * rows))
    bottom = height - 18
    values = [value for one in answers for _, value in one.points]
    low, high = show.get("min", 0.0), show.get("max") or _round_up(max(values, default=1.0))

    def place(at: float, value: float) -> str:
        x = left + (width - left) * (at - over.start) / (over.end - over.start)
        return f"{x:.1f},{bottom - (bottom - 6) * (min(value, high) - low) / (high - low):.1f}"

    def line(value: float, style: str) -> str:
        y = place(over.start, value).split(",")[1]
        return f'<path d="M{left} {y}H{width}" {style}/>'

    parts = [_time_axis(over, width, left, bottom)]
    for share in range(5):
        value = low + (high - low) * share / 4
        y = float(place(over.start, value).split(",")[1]) + 4
        label = written(value, show.get("unit"))
        parts.append(line(value, 'stroke="#2a2d33"'))
        parts.append(f'<text x="{left - 6}" y="{y:.0f}" text-anchor="end">{label}</text>')
    parts += [
        line(step["value"], 'stroke="#f2495c" stroke-dasharray="6 4"')
        for step in show.get("thresholds", {}).get("steps", ())
        if step["value"] is not None and low <= step["value"] <= high
    ]
    legend = []
    for index, one in enumerate(answers):
        color = _PALETTE[index % len(_PALETTE)]
        parts += [_polyline(piece, place, color) for piece in pieces(one.points, 3 * over.step)]
        last = written(one.points[-1][1], show.get("unit"))
        legend.append((f"{one.name}  {last}", color))
    return _drawing(width, height, parts, legend)


def pieces(points: Points, gap: float) -> Sequence[Points]:
    """The points without the lines across times at which there was nothing."""
    result: list[list[tuple[float, float]]] = []
    for point in points:
        if not result or point[0] - result[-1][-1][0] > gap:
            result.append([])
        result[-1].append(point)
    return result


def _polyline(points: Points, place: Callable[[float, float], str], color: str) -> str:
    text = " ".join(place(*point) for point in points)
    return f'<polyline points="{text}" fill="none" stroke="{color}" stroke-width="1.5"/>'


def _round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if value <= factor * power)


def draw_states(panel: Panel, over: Range) -> str:
    """A band per series; its colours are the states."""
    answers = series(panel, over, instant=False)
    states = defaults(panel)["mappings"][0]["options"]
    width, left = _WIDTH, 110
    each = min(70, (_height(panel, 45) - 18) // max(1, len(answers)))
    bottom = each * len(answers) + 4
    parts = [_time_axis(over, width, left, bottom)]
    seen: dict[str, str] = {}
    for row, one in enumerate(answers):
        y = row * each + 2
        parts.append(f'<text x="0" y="{y + each / 2 + 3:.0f}">{escape(one.name[-24:])}</text>')
        for at, value in one.points:
            state = states[str(int(value))]
            seen[state["text"]] = color = _COLORS[state["color"]]
            x = left + (width - left) * (at - over.start) / (over.end - over.start)
            wide = (width - left) * over.step / (over.end - over.start) + 1
            size = f'width="{wide:.1f}" height="{each - 5}"'
            parts.append(
                f'<rect shape-rendering="crispEdges" x="{x:.1f}" y="{y}" {size} fill="{color}"/>'
            )
    return _drawing(width, bottom + 18, parts, seen.items())


def _drawing(
    width: int, height: int, parts: Iterable[str], legend: Iterable[tuple[str, str]]
) -> str:
    names = "".join(
        f'<div><i style="background:{color}"></i>{escape(name)}</div>' for name, color in legend
    )
    svg = f'<svg viewBox="0 0 {width} {height}">{"".join(parts)}</svg>'
    return f'{svg}<div class="legend">{names}</div>'


def draw_table(panel: Panel, over: Range) -> str:
    """A row for each set of labels, a column for each query, as the panel's transformations say."""
    organize = panel["transformations"][1]["options"]
    names, order = organize["renameByName"], organize["indexByName"]
    shown = {
        rule["matcher"]["options"]: {one["id"]: one["value"] for one in rule["properties"]}
        for rule in panel["fieldConfig"]["overrides"]
    }
    rows: dict[tuple[tuple[str, str], ...], dict[str, str | float]] = {}
    for target in panel["targets"]:
        for found in over.ask(target["expr"], instant=True):
            row = rows.setdefault(tuple(sorted(found["metric"].items())), dict(found["metric"]))
            row[f"Value #{target['refId']}"] = float(found["value"][1])
    columns = sorted(names, key=lambda name: int(order[name]))
    head = "".join(f"<th>{escape(names[name])}</th>" for name in columns)
    ranked = sorted(rows.values(), key=lambda row: -float(row.get("Value #A", 0)))
    ranked.sort(key=lambda row: float(row.get("Value #F", math.inf)))
    body = []
    for row in ranked:
        cells = (_cell(row.get(name, ""), shown.get(names[name], {})) for name in columns)
        body.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"


def _cell(value: str | float, show: Mapping[str, Any]) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    for mapping in show.get("mappings", ()):
        if value >= mapping["options"]["from"]:
            return f"<td>{mapping['options']['result']['text']}</td>"
    text = written(value, show.get("unit"))
    if "custom.cellOptions" not in show:
        return f"<td>{text}</td>"
    color = color_at(value, show.get("thresholds"))
    return f"<td>{_bar(120 * min(value, 1), color)}{text}</td>"


def _bar(pixels: float, color: str) -> str:
    return f'<span class="bar" style="width:{pixels:.0f}px;background:{color}"></span>'


DRAW: Mapping[str, Callable[[Panel, Range], str]] = {
    "stat": draw_stat,
    "timeseries": draw_lines,
    "state-timeline": draw_states,
    "bargauge": draw_bars,
    "table": draw_table,
}


def page(dashboard: Mapping[str, Any], over: Range, panels: Iterable[Panel]) -> str:
    """The dashboard as HTML."""
    parts = []
    for panel in panels:
        at = panel["gridPos"]
        place = f"grid-column:{at['x'] + 1}/span {at['w']};grid-row:{at['y'] + 1}/span {at['h']}"
        body = DRAW[panel["type"]](panel, over)
        parts.append(f'<section style="{place}"><h2>{escape(panel["title"])}</h2>{body}</section>')
    title = escape(dashboard["title"])
    head = f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>"
    return f"{head}<h1>{title}</h1><main>{''.join(parts)}</main>"


def main() -> int:
    """Writes one picture."""
    parser = argparse.ArgumentParser(prog="tools.dashboard_picture", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("dashboard", type=Path)
    parser.add_argument("--minutes", type=float, default=15, help="range, up to now")
    parser.add_argument("--end", type=float, help="its end, in seconds since the epoch")
    parser.add_argument("--rows", type=int, default=99, help="rows of the grid that are shown")
    chosen = parser.parse_args()
    end = chosen.end or time.time()  # noqa: TID251 - until now
    over = Range(os.environ["PROMETHEUS_URL"], end - 60 * chosen.minutes, end)
    dashboard = json.loads(chosen.dashboard.read_text("utf-8"))
    panels = [one for one in dashboard["panels"] if one["gridPos"]["y"] < chosen.rows]
    rows = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in panels)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "dashboard.html"
        file.write_text(page(dashboard, over, panels), "utf-8")
        photograph(file, chosen.file, rows * (_ROW + 6) + 52)
    return 0


if __name__ == "__main__":
    sys.exit(main())
