"""Counters as they are scraped: queries, answers, and increments that survive resets and gaps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


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

    `promql`, when given, is a user's own expression and replaces the selector (only the
    `prometheus` source can answer it).
    """

    key: str
    selector: Selector
    by: tuple[str, ...]
    minus: Selector | None = None
    promql: str | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one group: `points` are (time in seconds, value), times ascending on the grid.

    A time at which the group had no value is absent, never NaN.
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class NoData:
    """The query works and nothing is there."""

    why: str
    partial: bool = False
    """Only part could be read, or none was: what is missing may be there, and is no zero."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The monitoring system could not be asked."""

    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """At least one series."""

    series: tuple[Series, ...] = field(default=())


MetricAnswer = Found | NoData | Unavailable
