"""A picture of figures over time, one below the other, each with the line of its trend."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.soak.trend import START_SHARE, Point, Trend

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _GAP = 720, 92, 60, 20, 30, 34
_FLAT, _GROWS = "#0f766e", "#b91c1c"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its title, samples and trend."""

    title: str
    points: Sequence[Point]
    trend: Trend


def draw(figures: Sequence[Figure]) -> str:
    """Return the picture as SVG; minutes are on the horizontal axis."""
    height = _TOP + len(figures) * (_PANEL + _GAP) + 10
    minutes = max(figure.points[-1][0] for figure in figures) / 60
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}"><style>text{{font:13px system-ui,sans-serif;fill:#334155}}</style>'
            '<rect width="100%" height="100%" rx="8" fill="#fff"/>'
        )
    ]
    for number, figure in enumerate(figures):
        parts += _panel(figure, _TOP + number * (_PANEL + _GAP), minutes)
    return "".join(parts) + "</svg>\n"


def _panel(figure: Figure, top: float, minutes: float) -> list[str]:
    highest = max(value for _, value in figure.points) * 1.15 or 1.0
    color = _FLAT if figure.trend.flat else _GROWS

    def place(point: Point) -> str:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * point[0] / 60 / minutes
        return f"{x:.1f},{top + _PANEL * (1 - point[1] / highest):.1f}"

    start, end = minutes * 60 * START_SHARE, minutes * 60
    ends = (place((start, figure.trend.first)), place((end, figure.trend.last)))
    verdict = "flat" if figure.trend.flat else "grows"
    slope = f"{figure.trend.slope:+.1f} per hour ({verdict}: at most {figure.trend.bound:g})"
    floor = top + _PANEL
    return [
        f'<text x="{_LEFT}" y="{top - 8}">{figure.title}: {slope}</text>',
        f'<path d="M{_LEFT} {top}V{floor}H{_WIDTH - _RIGHT}" fill="none" stroke="#94a3b8"/>',
        f'<text x="{_LEFT - 8}" y="{floor}" text-anchor="end">0</text>',
        f'<text x="{_LEFT - 8}" y="{top + 10}" text-anchor="end">{highest:.0f}</text>',
        f'<text x="{_WIDTH - _RIGHT}" y="{floor + 15}" text-anchor="end">{minutes:.0f} min</text>',
        _line([place(point) for point in figure.points], "#94a3b8", 1.2),
        _line(list(ends), color, 2.5),
    ]


def _line(places: Sequence[str], color: str, width: float) -> str:
    joined = " ".join(places)
    return f'<polyline points="{joined}" fill="none" stroke="{color}" stroke-width="{width}"/>'
