"""docs/pictures/evidence.svg: `python -m tools.evidence_picture` writes it.

Two releases, judged again by `canary analyze` after each scrape: docs/examples/faulty.csv, whose
canary fails 1 % of its requests, and the same traffic with a canary as good as stable.
"""

import csv
import json
import math
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs/pictures/evidence.svg"
Row = dict[str, str]
Point = tuple[float, float]
"""Minutes since the canary's first request, evidence."""
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 720, 330, 60, 34, 46
_MINUTES = 10.0
_LOWEST, _HIGHEST = 0.01, 1e5
_LIMIT = 100.0
_CENTERED = 'text-anchor="middle"'
_GOOD_SHARE = 0.001
"""Share of requests that fail in stable, and so in a canary that is as good."""


def as_good(rows: Sequence[Row], seed: int = 1) -> list[Row]:
    """The same requests, of which the canary fails as many as stable does."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    bad, before, result = 0, 0, []
    for row in rows:
        total = int(row["canary_total"])
        bad += sum(chance.random() < _GOOD_SHARE for _ in range(total - before))
        before = total
        result.append(row | {"canary_bad": str(bad)})
    return result


def evidence(rows: Sequence[Row]) -> list[Point]:
    """The evidence after each scrape since the canary's first request."""
    first = next(n for n, row in enumerate(rows) if row["canary_total"] != "0") - 1
    start = float(rows[first]["time"])
    return [
        ((float(rows[n]["time"]) - start) / 60, max(_LOWEST, _judge(rows[: n + 1])))
        for n in range(first + 1, len(rows))
    ]


def _judge(rows: Sequence[Row]) -> float:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "samples.csv"
        with file.open("w", newline="", encoding="utf-8") as text:
            writer = csv.DictWriter(text, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        command = [sys.executable, "-m", "canary", "analyze", "--samples", str(file), "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    return float(json.loads(done.stdout)["evidence"])


def _place(minutes: float, value: float) -> str:
    x = _LEFT + (_WIDTH - _LEFT - 20) * minutes / _MINUTES
    share = math.log(min(value, _HIGHEST) / _LOWEST) / math.log(_HIGHEST / _LOWEST)
    return f"{x:.1f},{_HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * share:.1f}"


def _line(points: Sequence[Point], color: str) -> str:
    places = " ".join(_place(*point) for point in points)
    return f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="2.5"/>'


def _text(place: str, words: str, more: str = "") -> str:
    x, y = place.split(",")
    return f'<text x="{x}" y="{y}" {more}>{words}</text>'


def draw(bad: Sequence[Point], good: Sequence[Point]) -> str:
    """Both lines over time, on a logarithmic scale, with the line at which a metric fails."""
    end = next((n for n, (_, value) in enumerate(bad) if value >= _LIMIT), len(bad) - 1)
    stopped = bad[: end + 1]
    limit = f"{_place(0, _LIMIT).split(',')[1]}"
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'width="{_WIDTH}"><style>text{{font:13px system-ui,sans-serif;fill:#334155}}</style>'
            '<rect width="100%" height="100%" rx="8" fill="#fff"/>'
        ),
        f'<path d="M{_LEFT} {limit}H{_WIDTH - 20}" stroke="#dc2626" stroke-dasharray="6 4"/>',
        _text(f"{_LEFT + 6},{float(limit) - 7:.1f}", "100: the metric fails, roll back"),
        *(
            _text(f"{_LEFT - 8}," + _place(0, tick).split(",")[1], f"{tick:g}", 'text-anchor="end"')
            for tick in (0.01, 1.0, 100.0, 10000.0)
        ),
        *(
            _text(f"{_place(tick, _LOWEST).split(',')[0]},{_HEIGHT - 28}", f"{tick}", _CENTERED)
            for tick in range(0, 11, 2)
        ),
        _text(f"{_WIDTH / 2:.0f},{_HEIGHT - 8}", "minutes with traffic", _CENTERED),
        _text("12,16", "evidence against the canary"),
        _line(good, "#0f766e"),
        _line(stopped, "#b91c1c"),
        _text(
            _place(*stopped[-1]), f"1 % errors: after {stopped[-1][0]:.1f} min", 'dx="8" dy="-8"'
        ),
        _text(_place(*good[len(good) // 2]), "as good as stable", 'dy="-12"'),
    ]
    return "".join(parts) + "</svg>\n"


def main() -> int:
    """Writes the picture."""
    with (ROOT / "docs/examples/faulty.csv").open(encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    FILE.write_text(draw(evidence(rows), evidence(as_good(rows))), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
