"""Reads recorded counters (CSV, streamed) and judges each release in them."""

import csv
import io
import math
import sys
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from canary.core.evidence import EvidenceState, Interval, Judge, RatioPolicy
from canary.core.evidence.assess import assess_judge
from canary.core.evidence.policy import Assessment
from canary.errors import UsageError

COLUMNS = ("release", "time", "canary_total", "canary_bad", "stable_total", "stable_bad")
_EXPECTED = "expected the columns " + ",".join(COLUMNS)
# Rows wait in a compact array and are judged together: unpacking a state for each row is slow,
# keeping every state unpacked takes too much memory with thousands of releases.
_BATCH = 32
_WIDTH = 6

_Row = tuple[float, float, float, float, float]


@dataclass(slots=True)
class Skipped:
    """Rows that repeat a time or go back in it."""

    count: int = 0
    first_line: int = 0
    first_release: str = ""


class _Release:
    """One release: its last row, increments not yet judged, and the judge's packed state."""

    __slots__ = ("_last", "_packed", "_pending")

    def __init__(self) -> None:
        self._last: _Row | None = None
        self._pending = array("d")
        self._packed = array("d")

    def add(self, row: _Row, policy: RatioPolicy) -> bool:
        """Takes in a row of cumulative counters; False: its time is not after the last one's."""
        last, self._last = self._last, row
        if last is None:
            return True
        if row[0] <= last[0]:
            self._last = last
            return False
        self._pending.extend((last[0], row[0]))
        self._pending.extend(_increments(last[1], last[2], row[1], row[2]))
        self._pending.extend(_increments(last[3], last[4], row[3], row[4]))
        if len(self._pending) >= _BATCH * _WIDTH:
            self._packed = array("d", self.judge(policy).state().values)
            self._pending = array("d")
        return True

    def judge(self, policy: RatioPolicy) -> Judge:
        """The judge after all rows so far."""
        judge = Judge(policy, EvidenceState(tuple(self._packed)))
        pending = self._pending
        for at in range(0, len(pending), _WIDTH):
            judge.step(Interval(*pending[at : at + _WIDTH]))  # type: ignore[arg-type]
        return judge


def _increments(last: float, last_bad: float, now: float, now_bad: float) -> tuple[float, float]:
    """Increase of one side; a restart sets both of its counters back, whichever shows it."""
    if now < last or now_bad < last_bad:
        return now, now_bad
    return now - last, now_bad - last_bad


def judge_samples(
    source: str, policy: RatioPolicy, skipped: Skipped
) -> Iterator[tuple[str, Assessment]]:
    """Releases of a file (`-`: standard input) in order of appearance, and what is said of each.

    Raises:
        UsageError: the file is not there or not what was expected; says where.
    """
    releases: dict[str, _Release] = {}
    for line, name, row in _rows(source):
        release = releases.get(name)
        if release is None:
            release = releases[name] = _Release()
        if not release.add(row, policy):
            skipped.count += 1
            if skipped.count == 1:
                skipped.first_line, skipped.first_release = line, name
    if not releases:
        raise UsageError(f"{_name(source)}: no samples below the header; {_EXPECTED} and rows")
    for name, release in releases.items():
        yield name, assess_judge(release.judge(policy), policy)


def _name(source: str) -> str:
    return "standard input" if source == "-" else source


def _rows(source: str) -> Iterator[tuple[int, str, _Row]]:
    with _opened(source) as stream:
        reader = csv.reader(stream)
        try:
            header = next(reader, None)
            places = _places(header, source)
            for fields in reader:
                if fields:
                    yield reader.line_num, *_parsed(fields, places, source, reader.line_num)
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{_name(source)}, after line {reader.line_num}: not text in UTF-8 "
                f"(byte {error.object[error.start]:#04x}); {_EXPECTED} as CSV"
            ) from error
        except csv.Error as error:
            raise UsageError(
                f"{_name(source)}, line {reader.line_num}: not CSV ({error}); {_EXPECTED}"
            ) from error


def _places(header: list[str] | None, source: str) -> tuple[int, ...]:
    if header is None:
        raise UsageError(f"{_name(source)} is empty; {_EXPECTED} in its first line")
    names = [name.strip() for name in header]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        found = ", ".join(names)[:200]
        raise UsageError(
            f"{_name(source)}, line 1: no column {', '.join(missing)}; {_EXPECTED}, found: {found}"
        )
    return tuple(names.index(column) for column in COLUMNS)


def _parsed(fields: list[str], places: tuple[int, ...], source: str, line: int) -> tuple[str, _Row]:
    try:
        name, when, *counters = [fields[place] for place in places]
        row = (float(when), *map(float, counters))
    except (ValueError, IndexError):
        raise _complaint(fields, places, source, line) from None
    # The sum is finite only if all are: this catches NaN and infinity in one comparison.
    if not -math.inf < sum(row) < math.inf or min(row[1:]) < 0.0:
        raise _complaint(fields, places, source, line)
    return name, (row[0], row[1], row[2], row[3], row[4])


def _complaint(fields: list[str], places: tuple[int, ...], source: str, line: int) -> UsageError:
    """Says which field of the line is wrong."""
    where = f"{_name(source)}, line {line}"
    if len(fields) <= max(places):
        return UsageError(
            f"{where}: expected at least {max(places) + 1} fields, found {len(fields)}"
        )
    for column, place in zip(COLUMNS[1:], places[1:], strict=True):
        text = fields[place][:60]
        wanted = "a time in seconds" if column == "time" else "a number of at least 0"
        try:
            value = float(text)
        except ValueError:
            return UsageError(f"{where}: {column} must be {wanted}, found {text!r}")
        if not math.isfinite(value) or (value < 0.0 and column != "time"):
            return UsageError(f"{where}: {column} must be {wanted}, found {text!r}")
    return UsageError(f"{where}: cannot be read")


@contextmanager
def _opened(source: str) -> Iterator[IO[str]]:
    """Text of the file without a byte order mark.

    Raises:
        UsageError: it cannot be opened or read.
    """
    try:
        if source == "-":
            yield _text(sys.stdin.buffer)
            return
        with Path(source).open("rb") as raw:
            yield _text(raw)
    except OSError as error:
        reasons: Mapping[type[OSError], str] = {
            FileNotFoundError: "no such file",
            IsADirectoryError: "a directory, not a CSV file",
            PermissionError: "no permission to read it",
        }
        why = reasons.get(type(error), error.strerror or str(error))
        raise UsageError(f"{_name(source)}: {why}; {_EXPECTED}") from error


def _text(raw: BinaryIO) -> IO[str]:
    return io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
