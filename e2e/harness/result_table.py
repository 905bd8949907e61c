"""The figures of a run as a table, the peers' beside them."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from e2e.harness.measurements import Measurements

PEERS: Mapping[str, tuple[str, str, str]] = {
    "100 % errors": ("10–20 s, 26–48 errors", "20 s, 48 errors", "≤ 15 s, ≤ 30 errors"),
    "100 % errors, scrape source at 1 s": (
        "10–20 s, 26–48 errors",
        "20 s, 48 errors",
        "≤ 7 s, ≤ 15 errors",
    ),
    **dict.fromkeys(
        ("5 % errors", "5 % errors, first", "5 % errors, second", "5 % errors, third"),
        ("30–50 s", "20–30 s", "≤ 75 s after the warm-up of 5 s, ≤ 20 errors"),
    ),
    "1 % errors at 20 %": ("found", "2 of 3 promoted", "never promoted, ≤ 240 s"),
    "both versions at 2 %": ("rolled back", "rolled back", "promoted"),
    "good, Prometheus away for 90 s": ("rolled back", "rolled back", "waits, then promoted"),
    "no traffic": ("rolled back", "rolled back", "waits, then paused"),
    "100 % errors, operator away for 20 s at 20 %": (
        "20 s after",
        "20–40 s after",
        "≤ 5 s after it is back",
    ),
    "100 % errors, leader killed at 20 %": ("–", "–", "≤ 15 s"),
    "all pods unready at 5 %": (
        "42 s, 20 failed",
        "went on to 100 %, 6,838 failed",
        "weight 0 within 3 s, ≤ 25 failed",
    ),
    "both canary pods evicted at 100 %": ("–", "–", "no total outage"),
    **dict.fromkeys(
        ("fix, stable fails 30 %", "fix, stable fails 100 %"),
        ("–", "–", "everywhere within 3 min"),
    ),
    "autoscaler grows 3 to 9 at 20 %": ("–", "–", "0 dropped, promoted with 9"),
    "replicas written back twice at 50 %": ("–", "–", "6 pods again within 30 s"),
    "plain rolling update, no release": ("–", "–", "66 of 1,400 dropped, by hand"),
}
"""Argo Rollouts and Flagger at their quickest possible settings, and what was asked of us.

Measured on the same kind of cluster: 50 requests/s, steps 5, 20, 50 %, scrapes every 5 s; in November
2026, in versions that were not recorded (docs/comparison.md).
"""
HEAD = """
| release | result | with weight (s) | errors served | from deciding scrape to 0 (s) | dropped | Argo quickest | Flagger quickest | asked |
|---|---|---|---|---|---|---|---|---|
"""

COSTS: Mapping[str, tuple[str, str]] = {
    "requests": ("API requests", ".0f"),
    "writes": ("of them writes", ".0f"),
    "queries": ("queries", ".0f"),
    "passes": ("passes", ".0f"),
    "seconds": ("seconds", ".0f"),
    "cpu": ("CPU, of a core", ".2%"),
    "load": ("load average", ".0f"),
}
"""Column and format of each cost. CPU is what the release adds to that at rest."""


def render_costs(folder: Path) -> str:
    """Markdown of what the releases cost the operator; empty if no test measured that."""
    found = [one for one in _read_measurements(folder) if one.costs]
    if not found:
        return ""
    titles = ["release", *(title for title, _ in COSTS.values())]
    lines = [titles, ["---"] * len(titles)]
    lines += [
        [one.name, *(format(one.costs[name], how) for name, (_, how) in COSTS.items())]
        for one in found
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_block(page: str, found: str, marker: str) -> str:
    """The page with the text between the comments `MARKER:start` and `MARKER:end`."""
    start, end = (f"<!-- {marker}:{edge} -->" for edge in ("start", "end"))
    block = re.compile(f"{re.escape(start)}\n.*?{re.escape(end)}", re.DOTALL)
    return block.sub(lambda _: f"{start}\n{found}{end}", page)


def _read_measurements(folder: Path) -> list[Measurements]:
    return [Measurements(**json.loads(path.read_text("utf-8"))) for path in folder.glob("*.json")]


def render_table(folder: Path) -> str:
    """Markdown of what the tests wrote into the folder."""
    found = _read_measurements(folder)
    order = list(PEERS)
    found.sort(key=lambda one: (order.index(_kind(one)) if _kind(one) in order else -1, one.name))
    return HEAD.lstrip() + "".join(f"| {' | '.join(_row(one))} |\n" for one in found)


def write_table(page: str, found: str, marker: str = "e2e", *, keep_others: bool = False) -> str:
    """The page with the table between the comments `MARKER:start` and `MARKER:end`.

    With `keep_others`, as after a run of a few chosen tests, only the rows of the releases that
    were measured are replaced, and rows of new releases go to the end.
    """
    start, end = (f"<!-- {marker}:{edge} -->" for edge in ("start", "end"))
    block = re.compile(f"{re.escape(start)}\n(.*?){re.escape(end)}", re.DOTALL)

    def replace(match: re.Match[str]) -> str:
        rows = _rows_by_release(match[1]) | _rows_by_release(found) if keep_others else {}
        return f"{start}\n{HEAD.lstrip() + ''.join(rows.values()) if keep_others else found}{end}"

    return block.sub(replace, page)


def _rows_by_release(table: str) -> dict[str, str]:
    """Each row of a table under the name of its release, without the note in parentheses."""
    rows = [line for line in table.splitlines(keepends=True) if not line.startswith("|---")]
    return {row.removeprefix("| ").partition(" |")[0].partition(" (")[0]: row for row in rows[1:]}


def _row(one: Measurements) -> Iterator[str]:
    note = f" ({one.note})" if one.note else ""
    yield one.name + note
    yield f"{one.result}: {one.reason}"
    yield "–" if one.seconds is None else f"{one.seconds:.1f}"
    yield str(one.errors)
    yield "–" if one.reaction is None else f"{one.reaction:.2f}"
    yield f"{one.dropped} of {one.sent}" if one.sent else "–"
    yield from PEERS.get(_kind(one), ("–", "–", "–"))


def _kind(one: Measurements) -> str:
    """The release, wherever its errors were counted."""
    return one.name.partition(", counted at")[0]
