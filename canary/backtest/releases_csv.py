"""Parses past releases that the user lists in a CSV file. Pure."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from canary.analyze.matchers import parse_matchers
from canary.analyze.series import SeriesGroups
from canary.backtest.releases import GroundTruth
from canary.errors import UsageError

COLUMNS = ("name", "start", "end", "canary", "stable", "good")
_EXPECTED_COLUMNS = (
    "expected the columns start and end, and optionally name, canary, stable and good"
)
_TRUTHS = {"yes": GroundTruth.GOOD, "true": GroundTruth.GOOD, "1": GroundTruth.GOOD}
_TRUTHS |= {
    "no": GroundTruth.BAD,
    "false": GroundTruth.BAD,
    "0": GroundTruth.BAD,
    "": GroundTruth.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """One row; times in seconds since the epoch.

    Without `groups` the history shows the versions.
    """

    name: str
    start: float
    end: float
    groups: SeriesGroups | None
    fate: GroundTruth


def parse_releases(
    lines: Iterable[str], source: str, time: Callable[[str, str], float]
) -> list[ReleaseRow]:
    """Return the rows; `time` parses a time (text, description) or raises UsageError.

    Raises:
        UsageError: the file is not valid; the message names the line.
    """
    reader = csv.DictReader(lines)
    try:
        # An unknown column is an error: `godo` for `good` would silently make every truth unknown.
        names = [name.strip() for name in reader.fieldnames or ()]
        odd = [name for name in names if name not in COLUMNS]
        if odd or not {"start", "end"} <= set(names):
            found = ", ".join(names)[:200] or "nothing"
            raise UsageError(f"{source}, line 1: {_EXPECTED_COLUMNS}; found {found}")
        reader.fieldnames = names
        rows = list(_parse_rows(reader, source, time))
    except csv.Error as error:
        raise UsageError(f"{source}, line {reader.line_num}: expected CSV: {error}") from error
    if not rows:
        raise UsageError(f"{source}: found no release below the header; {_EXPECTED_COLUMNS}")
    return rows


def _parse_rows(
    reader: "csv.DictReader[str]", source: str, time: Callable[[str, str], float]
) -> Iterator[ReleaseRow]:
    for row in reader:
        where = f"{source}, line {reader.line_num}"
        if None in row or None in row.values():
            raise UsageError(f"{where}: expected {len(reader.fieldnames or ())} fields")
        yield _parse_row({name: value.strip() for name, value in row.items()}, where, time)


def _parse_row(row: Mapping[str, str], where: str, time: Callable[[str, str], float]) -> ReleaseRow:
    start, end = time(row["start"], f"{where}, start"), time(row["end"], f"{where}, end")
    if start >= end:
        raise UsageError(f"{where}: expected start before end")
    good = row.get("good", "").lower()
    if good not in _TRUTHS:
        raise UsageError(
            f"{where}: expected yes, no or an empty text in the column good, found {row['good']!r}"
        )
    canary, stable = row.get("canary", ""), row.get("stable", "")
    # One side alone would compare the version with all series of the metric, its own among them.
    if bool(canary) != bool(stable):
        raise UsageError(f"{where}: expected both canary and stable, or neither")
    groups = None
    if canary:
        parsed = parse_matchers(canary, f"{where}, canary")
        groups = SeriesGroups(parsed, parse_matchers(stable, f"{where}, stable"))
    return ReleaseRow(row.get("name") or row["start"], start, end, groups, _TRUTHS[good])
