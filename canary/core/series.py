"""Counters and gauges as they are scraped: queries as data, and their answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

HISTORY_STEP = 30.0
"""Seconds between two values of a raw query's history."""

NOT_NUMBERS = "all values are NaN or infinite"
"""Why series that are there are no data."""


class MatchOp(StrEnum):
    """The four ways in which PromQL compares a label."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label condition; the value is data and gets escaped at the edge, never spliced."""

    label: str
    op: MatchOp
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """A vector selector as data: `metric{matchers}`."""

    metric: str
    matchers: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """Sum of the selected series per value of `by`: `sum by (by…) (plus) − sum by (by…) (minus)`.

    `raw`: every selected series by itself instead, with all its labels and the times of its
    scrapes; `by` then says which labels tell whose a series is. `history` is how many seconds
    before the range are read as well, in steps of `HISTORY_STEP`; if that is too much, a raw query
    is answered without. `promql`, when given, is a user's own expression and replaces the selector
    (only the `prometheus` source can answer it).
    """

    key: str
    selector: Selector
    by: tuple[str, ...]
    minus: Selector | None = None
    promql: str | None = None
    raw: bool = False
    history: float = 0.0


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one series or group: `points` are (time in seconds, value), times ascending.

    The times are those of the scrapes, or of the grid that was asked for. A time without a value
    is absent, never NaN.
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class NoData:
    """The query works and nothing is there."""

    why: str
    partial: bool = False
    """Only part could be read, or none was: what is missing may be there, and is no zero."""
    too_large: bool = False
    """There is more than is read of one answer; a narrower question may be answered."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The monitoring system could not be asked."""

    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """At least one series."""

    series: tuple[Series, ...] = field(default=())
    not_numbers: tuple[Mapping[str, str], ...] = ()
    """Labels of series whose newest value is NaN or infinite: they are there, and say nothing."""


@dataclass(frozen=True, slots=True)
class Pending:
    """The monitoring system has not answered yet: read again once it has."""


MetricAnswer = Found | NoData | Unavailable
