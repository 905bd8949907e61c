"""Queries for counters and gauges as data, and their answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

HISTORY_STEP = 30.0
"""Seconds between two values of a raw query's history."""

NOT_NUMBERS = "all values are NaN or infinite"
"""The reason for NoData if series exist."""


class MatchOp(StrEnum):
    """The four ways in which PromQL compares a label."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label condition; its value is data and is escaped when the query is rendered."""

    label: str
    op: MatchOp
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """A vector selector as data: `metric{matchers}`."""

    metric: str
    matchers: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """The series of one release: those whose `label` matches `pattern`.

    If the series have a namespace label, it must match as well. `pattern` is a regular expression
    for the whole value.
    """

    label: str
    pattern: str
    namespace_label: str = ""
    namespace: str = ""

    def matchers(self) -> tuple[Matcher, ...]:
        """Return the same as label matchers."""
        own = Matcher(self.label, MatchOp.REGEX, self.pattern)
        if not self.namespace_label:
            return (own,)
        return Matcher(self.namespace_label, MatchOp.EQUAL, self.namespace), own


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """Sum of the selected series per value of `by`: `sum by (by…) (metric{matchers})`.

    `template` selects the series of all releases, `member` narrows it to one release.

    `raw` returns every selected series instead of sums, with all labels and the times of its
    scrapes. `also` names further metrics that are read with the same matchers; each series then has
    its `__name__`. `history` is the number of seconds before the range that are read as well, in
    steps of `HISTORY_STEP`; if that is too much, a raw query is answered without history.

    `promql` is a custom expression that replaces the selector (only the `prometheus` source can
    answer it). It must return one value; values before `since` (seconds) are ignored.

    `asker` is the namespace of the release, "" for queries shared by all: a failed query counts
    only against its asker.
    """

    key: str
    template: Selector
    by: tuple[str, ...]
    promql: str | None = None
    raw: bool = False
    history: float = 0.0
    member: Member | None = None
    also: tuple[str, ...] = ()
    since: float | None = None
    asker: str = ""

    @property
    def selector(self) -> Selector:
        """The template, narrowed to the member's series."""
        if self.member is None:
            return self.template
        return Selector(self.template.metric, (*self.template.matchers, *self.member.matchers()))


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one series or group: `points` are (time in seconds, value), times ascending.

    The times are those of the scrapes, or of the grid of the query. A time without a value
    is absent, never NaN.
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class NoData:
    """The query succeeded and returned no series."""

    why: str
    partial: bool = False
    """The answer is incomplete: missing series may exist and must not be read as zero."""
    splittable: bool = False
    """Whether a narrower query may succeed, for example because the answer exceeded a limit."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The monitoring system could not be queried, or did not answer this query."""

    why: str
    server_down: bool = False
    """Whether the server answers no query at all; otherwise only this one failed."""


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """At least one series."""

    series: tuple[Series, ...] = field(default=())
    not_numbers: tuple[Mapping[str, str], ...] = ()
    """Labels of series whose newest value is NaN or infinite."""


@dataclass(frozen=True, slots=True)
class PendingAnswer:
    """The monitoring system has not answered yet; read again later."""


MetricAnswer = FoundSeries | NoData | Unavailable
