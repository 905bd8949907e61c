"""Reads recorded counters (CSV, streamed) and analyzes each release in them."""

import csv
import io
import math
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from struct import Struct
from typing import IO, TYPE_CHECKING, BinaryIO

from canary.core.analysis.ratio import build_interval
from canary.core.counter import Counter
from canary.core.evidence import EvidenceState, Interval, Judge, RatioPolicy
from canary.core.evidence.assessment import assess_judge
from canary.core.evidence.policy import Assessment
from canary.core.increments import Side
from canary.core.sampling import RatioAnswers, find_metric_rounds, sample_ratio
from canary.core.series import FoundSeries, Series
from canary.errors import UsageError
from canary.text.sanitize import escape_unprintable

if TYPE_CHECKING:
    from canary.core.evidence.pod_windows import PodWindowsState

Pod = tuple[Side, str]
"""Group and name of the pod that counted a row."""


def no_data_assessment(policy: RatioPolicy, why: str) -> Assessment:
    """Return the assessment of counters that are inconsistent."""
    return replace(assess_judge(Judge(policy), policy), sentence=f"no data: {why}")


_MIN_ROUND = 1.0
"""Minimum interval in seconds, as pods are scraped at different times."""


class PodReleases:
    """The samples of each pod per release: time, all requests, bad requests."""

    def __init__(self, policy: RatioPolicy) -> None:
        self._policy = policy
        self._pods: dict[str, dict[Pod, array[float]]] = {}

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the releases in order of appearance."""
        return iter(self._pods)

    def add(self, name: str, row: tuple[float, ...], pod: Pod | None) -> bool:
        """Add a row of cumulative counters.

        Return False if its time is not after the pod's last row.
        """
        assert pod is not None  # noqa: S101 - the file's header says so
        known = self._pods.setdefault(name, {}).setdefault(pod, array("d"))
        if known and row[0] <= known[-3]:
            return False
        known.extend(row)
        return True

    def assess(self, name: str) -> Assessment:
        """Return the assessment after all rows. Requests before a pod's first row are unknown."""
        pods = self._pods[name]
        start = min(one[0] for one in pods.values())
        end = max(one[-3] for one in pods.values())
        answers = RatioAnswers(
            "total",
            FoundSeries(tuple(_build_series(pod, rows, 1) for pod, rows in pods.items())),
            "pod",
            lambda value: Side(value.partition("/")[0]),
            bad=FoundSeries(tuple(_build_series(pod, rows, 2) for pod, rows in pods.items())),
        )
        ticks = sample_ratio(answers, find_metric_rounds([answers], start, end, _MIN_ROUND)).ticks
        if not isinstance(ticks, tuple):
            return no_data_assessment(self._policy, ticks.why)
        judge = Judge(self._policy)
        for tick in ticks:
            judge.add_interval(build_interval(tick))
        return assess_judge(judge, self._policy)


def _build_series(pod: Pod, rows: "array[float]", column: int) -> Series:
    name = "/".join(pod)
    points = zip(rows[::3], rows[column::3], strict=True)
    return Series({"pod": name, "instance": name}, tuple(points))


COLUMNS = ("release", "time", "canary_total", "canary_bad", "stable_total", "stable_bad")
POD_COLUMNS = ("release", "time", "side", "pod", "total", "bad")
_EXPECTED_COLUMNS = f"expected the columns {','.join(COLUMNS)}, or per pod {','.join(POD_COLUMNS)}"
# Rows are collected and analyzed in batches. Unpacking a state per row is slow, and unpacked states
# of thousands of releases need too much memory.
_BATCH = 32
_PACKED = Struct("5d")
_TIME = Struct("d")
# Counters may be rounded to six digits, so a bad count may exceed the total by this much.
_ROUNDING = 1.00001

_MAX_TIME = 1e11
"""Seconds since the epoch (the year 5138). A larger number is in another unit."""
_MAX_BACKWARDS = 3
"""Rows out of order that are tolerated; more, if most rows are in order."""

_INCONSISTENT_COUNTER = (
    "a counter decreases repeatedly, but not to about zero: several processes share one address, "
    "or the samples are out of order"
)

_Row = tuple[float, ...]
"""Time and counters: (all, bad) of canary and stable, or of one pod."""


@dataclass(slots=True)
class SkippedRows:
    """Rows whose time is not after the row before."""

    count: int = 0
    first_line: int = 0
    first_release: str = ""
    backwards: dict[str, int] = field(default_factory=dict)
    """Per release: skipped rows minus later rows in order."""


class _RecordedReleases:
    """The rows of each release since the last batch, and the state of its analysis.

    Both are packed: 200,000 releases of a few rows each must fit into 100 MiB.

    For example, with `_BATCH` = 100 a release of 250 rows is analyzed twice while it is read: after
    row 101 (rows 1–101) and after row 201 (rows 101–201). Rows 201–250 follow in `assess`. The last
    row of a batch stays, as the next increase starts from it.
    """

    __slots__ = ("_jumpy", "_policy", "_rows", "_states")

    def __init__(self, policy: RatioPolicy) -> None:
        self._policy = policy
        self._rows: dict[str, bytes] = {}
        self._states: dict[str, tuple[array[float], PodWindowsState | None]] = {}
        self._jumpy: set[str] = set()
        """Releases with a counter that mixes several processes."""

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the releases in order of appearance."""
        return iter(self._rows)

    def add(self, name: str, row: _Row, _: Pod | None = None) -> bool:
        """Add a row of cumulative counters.

        Return False if its time is not after the last row's.
        """
        rows = self._rows.get(name)
        if rows is None:
            self._rows[name] = _PACKED.pack(*row)
            return True
        if row[0] <= _TIME.unpack_from(rows, len(rows) - _PACKED.size)[0]:
            return False
        rows += _PACKED.pack(*row)
        self._rows[name] = rows
        if len(rows) > _BATCH * _PACKED.size:
            state = self._build_judge(name).state()
            self._states[name] = (array("d", state.values), state.windows)
            self._rows[name] = rows[-_PACKED.size :]
        return True

    def assess(self, name: str) -> Assessment:
        """Return the assessment after all rows."""
        said = assess_judge(self._build_judge(name), self._policy)
        return (
            no_data_assessment(self._policy, _INCONSISTENT_COUNTER) if name in self._jumpy else said
        )

    def _build_judge(self, name: str) -> Judge:
        """Return the judge after all rows so far."""
        values, windows = self._states.get(name, ((), None))
        judge = Judge(self._policy, EvidenceState(tuple(values), windows=windows))
        rows = _PACKED.iter_unpack(self._rows[name])
        start, *first = next(rows)
        counters = [Counter(start, value) for value in first]
        for end, *now in rows:
            canary, bad = _sum_increases(counters[:2], end, now[:2])
            judge.add_interval(
                Interval(start, end, canary, bad, *_sum_increases(counters[2:], end, now[2:]))
            )
            start = end
        if any(one.jumpy for one in counters):
            self._jumpy.add(name)
        return judge


def _sum_increases(
    counters: Sequence[Counter], time: float, values: Sequence[float]
) -> tuple[float, float]:
    """Return the increase of one group: (all, bad). A restart resets both of its counters."""
    total = counters[0].add_sample(time, values[0])
    if counters[0].restarted:
        counters[1].restart()
    return total, counters[1].add_sample(time, values[1])


def judge_samples(
    source: str, policy: RatioPolicy, skipped: SkippedRows
) -> Iterator[tuple[str, Assessment]]:
    """Yield the releases of a file (`-`: standard input) in order, each with its assessment.

    Raises:
        UsageError: the file does not exist or is invalid; the message names the line.
    """
    releases: _RecordedReleases | PodReleases | None = None
    for line, name, row, pod in _read_rows(source):
        if releases is None:
            releases = _RecordedReleases(policy) if pod is None else PodReleases(policy)
        taken = releases.add(name, row, pod)
        if not taken:
            skipped.count += 1
            if skipped.count == 1:
                skipped.first_line, skipped.first_release = line, name
        if not taken or name in skipped.backwards:
            skipped.backwards[name] = skipped.backwards.get(name, 0) + (-1 if taken else 1)
    if releases is None:
        raise UsageError(
            f"{_describe_source(source)}: found no rows below the header; {_EXPECTED_COLUMNS} "
            "and rows"
        )
    _check_ascending(source, skipped)
    for name in releases:
        yield name, releases.assess(name)


def _check_ascending(source: str, skipped: SkippedRows) -> None:
    """Reject a file whose rows are mostly in descending order of time."""
    wrong = [name for name, rows in skipped.backwards.items() if rows >= _MAX_BACKWARDS]
    if wrong:
        raise UsageError(
            f"{_describe_source(source)}: the times of release {escape_unprintable(wrong[0])} "
            "mostly go backwards; "
            "expected rows in ascending order of time: sort the file by the column time"
        )


def _describe_source(source: str) -> str:
    return "standard input" if source == "-" else escape_unprintable(source)


def _read_rows(source: str) -> Iterator[tuple[int, str, _Row, Pod | None]]:
    """Yield line number, release, time with counters, and the pod that counted."""
    with _open_source(source) as stream:
        reader = csv.reader(stream)
        try:
            columns, places = _find_columns(next(reader, None), source)
            for fields in reader:
                if fields:
                    yield (
                        reader.line_num,
                        *_parse_row(fields, columns, places, source, reader.line_num),
                    )
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{_describe_source(source)}, after line {reader.line_num}: found bytes that are "
                f"not UTF-8 (byte {error.object[error.start]:#04x}); {_EXPECTED_COLUMNS} as CSV"
            ) from error
        except csv.Error as error:
            raise UsageError(
                f"{_describe_source(source)}, line {reader.line_num}: expected CSV: {error}; "
                f"{_EXPECTED_COLUMNS}"
            ) from error


def _find_columns(header: list[str] | None, source: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the kind of columns in the header, and their positions."""
    if header is None:
        raise UsageError(
            f"{_describe_source(source)} is empty; {_EXPECTED_COLUMNS} in its first line"
        )
    names = [name.strip() for name in header]
    columns = POD_COLUMNS if {"side", "pod"} & set(names) else COLUMNS
    found = escape_unprintable(", ".join(names))[:200]
    missing = [column for column in columns if column not in names]
    if missing:
        raise UsageError(
            f"{_describe_source(source)}, line 1: missing column {', '.join(missing)}; "
            f"{_EXPECTED_COLUMNS}, found: {found}"
        )
    twice = [column for column in columns if names.count(column) > 1]
    if twice:
        raise UsageError(
            f"{_describe_source(source)}, line 1: expected each column once, found several of "
            f"{', '.join(twice)}: {found}"
        )
    return columns, tuple(names.index(column) for column in columns)


def _parse_row(
    fields: list[str], columns: tuple[str, ...], places: tuple[int, ...], source: str, line: int
) -> tuple[str, _Row, Pod | None]:
    try:
        name, *texts = [fields[place] for place in places]
        pod = _take_pod(texts) if columns is POD_COLUMNS else None
        row = tuple(map(float, texts))
    except (ValueError, IndexError):
        raise _row_error(fields, columns, places, source, line) from None
    plain = "".join(texts)
    if (
        # The sum is finite only if all are: this catches NaN and infinity in one comparison.
        not -math.inf < sum(row) < math.inf
        or min(row[1:]) < 0.0
        or row[2] > row[1] * _ROUNDING
        or (pod is None and row[4] > row[3] * _ROUNDING)
        or "_" in plain
        or not plain.isascii()
        or not name.strip()
        or row[0] > _MAX_TIME
    ):
        raise _row_error(fields, columns, places, source, line)
    return name, row, pod


def _take_pod(texts: list[str]) -> Pod:
    """Remove group and pod from the fields. Raises ValueError if they are invalid."""
    side, pod = (text.strip() for text in texts[1:3])
    if not pod:
        raise ValueError(pod)
    del texts[1:3]
    return Side(side), pod


def _row_error(
    fields: list[str], columns: tuple[str, ...], places: tuple[int, ...], source: str, line: int
) -> UsageError:
    """Return the error that names the invalid field of the line."""
    where = f"{_describe_source(source)}, line {line}"
    if len(fields) <= max(places):
        return UsageError(
            f"{where}: expected at least {max(places) + 1} fields, found {len(fields)}"
        )
    given = {column: fields[place] for column, place in zip(columns, places, strict=True)}
    for column, text in given.items():
        if (wanted := _expected_value(column, text)) is not None:
            return UsageError(
                f"{where}: {column} must be {wanted}, found {escape_unprintable(text)[:60]!r}"
            )
    if _parse_number(given["time"]) > _MAX_TIME:
        return UsageError(
            f"{where}: time must be in seconds, found {given['time'][:60]}: "
            "it looks like milliseconds, so divide it by 1000"
        )
    for total in [column for column in columns if column.endswith("total")]:
        bad = total.replace("total", "bad")
        if _parse_number(given[bad]) > _parse_number(given[total]):
            return UsageError(
                f"{where}: {bad} ({given[bad][:60]}) is more than {total} "
                f"({given[total][:60]}): expected all requests, and the bad ones among them; "
                "are the columns in the wrong order?"
            )
    return UsageError(f"{where}: expected valid fields, found an unreadable one")


def _expected_value(column: str, text: str) -> str | None:
    """Return what is expected in a column instead of this text; None if the text is valid."""
    match column:
        case "release" | "pod":
            return None if text.strip() else "a name"
        case "side":
            return None if text.strip() in set(Side) else "canary or stable"
        case "time":
            return None if math.isfinite(_parse_number(text)) else "a time in seconds"
        case _:
            fine = math.isfinite(value := _parse_number(text)) and value >= 0.0
            return None if fine else "a number of at least 0"


def _parse_number(text: str) -> float:
    """Parse a number as written in CSV; NaN if invalid (`1_0` is a number only in Python)."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


@contextmanager
def _open_source(source: str) -> Iterator[IO[str]]:
    """Open the file as text without a byte order mark.

    Raises:
        UsageError: it cannot be opened or read.
    """
    try:
        if source == "-":
            if sys.stdin is None:
                raise UsageError(f"standard input is closed; {_EXPECTED_COLUMNS} as CSV")
            yield _decode_text(sys.stdin.buffer)
            return
        with Path(source).open("rb") as raw:
            yield _decode_text(raw)
    except OSError as error:
        reasons: Mapping[type[OSError], str] = {
            FileNotFoundError: "no such file",
            IsADirectoryError: "a directory, not a CSV file",
            PermissionError: "no permission to read it",
        }
        why = reasons.get(type(error), error.strerror or str(error))
        raise UsageError(f"{_describe_source(source)}: {why}; {_EXPECTED_COLUMNS}") from error


def _decode_text(raw: BinaryIO) -> IO[str]:
    return io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
