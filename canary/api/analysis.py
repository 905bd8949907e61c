"""The analysis section of the spec: the metrics, and how certain a decision must be."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from canary.api.fields import (
    DurationRange,
    Expect,
    Frozen,
    Name,
    PresetName,
    Query,
    Share,
    build_field_error,
    format_duration,
)

Tolerance = Annotated[float, Field(ge=1, le=100), Expect("a factor from 1 to 100")]
Floor = Annotated[
    float, Field(ge=0, lt=1), Expect("a share from 0 to below 1 (0.0002 is 0.02 percent)")
]
FalsePositiveRate = Annotated[
    float, Field(gt=0, le=0.2), Expect("a probability above 0 and up to 0.2")
]
Connections = Annotated[
    float, Field(gt=0, le=1000), Expect("a number of connections above 0 and up to 1000")
]
PoolMax = Annotated[int, Field(ge=1, le=100_000), Expect("a whole number from 1 to 100000")]


class Leak(Frozen):
    """How many connections may leak, and within which window."""

    connections: Connections = 3.0
    """The metric fails if more connections than this are in use without traffic to explain it."""
    window: Annotated[float, DurationRange("1s", "24h")] = 600.0
    """Observation window: at least twice the longest time that a request holds a connection."""


class RatioSource(Frozen):
    """The share of bad requests, from a preset or from two counters.

    With a preset, only server errors are bad: HTTP status 5XX (for Istio also failed connections),
    or the gRPC codes Unknown, DeadlineExceeded, Unimplemented, Internal, Unavailable and DataLoss.
    401, 403, 404, 409, 422, 429 and other 4xx never count as bad: see `clientErrors`.
    """

    preset: PresetName | None = None
    """Name of a ratio preset, such as traefik or istio."""
    total: Query | None = None
    """Counter of all requests."""
    bad: Query | None = None
    """Counter of the bad requests."""
    good: Query | None = None
    """Counter of the good requests, such as a histogram bucket, if there is no counter of the bad
    ones."""

    @model_validator(mode="after")
    def preset_or_selectors(self) -> Self:
        """Reject a source that has neither a preset nor complete counters, or has both."""
        names = ("preset", "total", "bad", "good")
        given = [name for name in names if getattr(self, name) is not None]
        if given not in (["preset"], ["total", "bad"], ["total", "good"]):
            found = " and ".join(given) or "none"
            raise build_field_error(
                f"expected either preset, or total with bad or good, found {found}"
            )
        return self


class PoolSource(Frozen):
    """The gauges of a connection pool, from a preset.

    Each combination of labels is one pool and is analyzed separately; the fullest one decides.
    """

    preset: PresetName
    """Name of a pool preset, such as hikaricp or psycopg-pool."""
    max: PoolMax | None = None
    """Size of the pool in connections, if the exporter does not report it."""


class LatencySource(Frozen):
    """The share of slow requests, from a classic histogram of response times.

    Native histograms are not supported: Prometheus must also store the classic series
    (`scrape_classic_histograms`, in Prometheus 3 `always_scrape_classic_histograms`).
    """

    preset: PresetName
    """Name of a latency preset, such as traefik or otel-http."""
    above: Annotated[float, DurationRange("1ms", "1h")]
    """Requests slower than this are bad. The nearest bucket boundary of the histogram is
    used, and shown in the results."""


class ClientErrorsSource(Frozen):
    """The share of requests that were rejected with a client error (4xx)."""

    preset: PresetName
    """Name of a ratio preset that counts status codes, such as traefik or istio."""


MetricKind = Literal["ratio", "latency", "clientErrors", "pool", "query"]
FIELDS_OF: Mapping[str, tuple[str, ...]] = {
    "ratio": ("tolerance", "limit", "floor"),
    "latency": ("tolerance", "limit", "floor"),
    "clientErrors": ("tolerance", "floor"),
    "pool": ("limit", "leak"),
    "query": ("min", "max", "for_"),
}
"""The fields that apply to each source."""
REQUEST_SHARES = frozenset({"ratio", "latency", "clientErrors"})
"""Sources whose value is a share of requests, compared with stable's."""
_TOLERANCES = {"ratio": 1.25, "latency": 1.25, "clientErrors": 1.5}
_LIMITS = {"ratio": 0.05, "pool": 0.75}


class Metric(Frozen):
    """One metric: exactly one of `ratio`, `latency`, `clientErrors`, `pool`, `query`."""

    name: Name
    """Name of the metric in status, reports and Events."""
    ratio: RatioSource | None = None
    """Share of bad requests."""
    latency: LatencySource | None = None
    """Share of slow requests."""
    client_errors: ClientErrorsSource | None = None
    """Share of requests rejected with a client error (4xx), compared with stable only."""
    pool: PoolSource | None = None
    """A connection pool."""
    query: Query | None = None
    """A PromQL expression with one value, compared with min and max."""
    tolerance: Tolerance | None = None
    """Ratio, latency, clientErrors: the metric fails if the canary's rate exceeds stable's rate
    times this factor. Default: 1.25 (clientErrors: 1.5)."""
    limit: Share | None = None
    """Absolute limit. Default: 0.05 of the requests (ratio), 0.75 of the pool's size (pool), none
    (latency, which is then only compared with stable)."""
    floor: Floor = 0.0002
    """Ratio, latency, clientErrors: a difference below this share of requests is ignored."""
    leak: Leak | None = None
    """Pool: how many connections may leak."""
    min: float | None = None
    """Query: the metric fails if the value is lower."""
    max: float | None = None
    """Query: the metric fails if the value is higher."""
    for_: Annotated[float, DurationRange("0s", "24h"), Field(alias="for")] = 60.0
    """Query: how long the value must be out of bounds before the metric fails."""

    @model_validator(mode="after")
    def exactly_one_source(self) -> Self:
        """Reject a metric without exactly one source; it would never fail, or hide one source."""
        given = self._list_given_kinds()
        if len(given) != 1:
            found, kinds = " and ".join(given) or "none", ", ".join(FIELDS_OF)
            raise build_field_error(f"expected exactly one of {kinds}, found {found}")
        return self

    @model_validator(mode="after")
    def fields_fit_the_source(self) -> Self:
        """Reject a field that the source ignores."""
        fits = FIELDS_OF[self.kind]
        others = {field for fields in FIELDS_OF.values() for field in fields} - set(fits)
        defaults = type(self).model_fields
        wrong = sorted(field for field in others if getattr(self, field) != defaults[field].default)
        if wrong:
            allowed = ", ".join(field.rstrip("_") for field in fits)
            names = " and ".join(field.rstrip("_") for field in wrong)
            raise build_field_error(
                f"a {self.kind} metric has only {allowed}, found {names}", wrong[0].rstrip("_")
            )
        return self

    @model_validator(mode="after")
    def bounds_make_sense(self) -> Self:
        """Reject a query that never fails (no bounds) or always fails (min above max)."""
        if self.kind == "query" and self.min is None and self.max is None:
            raise build_field_error(
                "expected min, max or both with a query: without them it never fails"
            )
        if self.min is not None and self.max is not None and self.min > self.max:
            raise build_field_error(
                f"expected min to be at most max, found {self.min:g} and {self.max:g}", "min"
            )
        return self

    def _list_given_kinds(self) -> list[MetricKind]:
        kinds: tuple[MetricKind, ...] = get_args(MetricKind)
        names = {"clientErrors": "client_errors"}
        return [kind for kind in kinds if getattr(self, names.get(kind, kind)) is not None]

    @property
    def kind(self) -> MetricKind:
        """Name of the source that is set."""
        return self._list_given_kinds()[0]

    @property
    def is_request_share(self) -> bool:
        """Whether the value is a share of requests, compared with stable's."""
        return self.kind in REQUEST_SHARES

    @property
    def allowed_ratio(self) -> float:
        """How many times stable's rate the canary may have: `tolerance` or its default."""
        return _TOLERANCES.get(self.kind, 1.0) if self.tolerance is None else self.tolerance

    @property
    def absolute_limit(self) -> float | None:
        """`limit` or its default: a share (0–1); None if there is none."""
        return _LIMITS.get(self.kind) if self.limit is None else self.limit

    @property
    def preset(self) -> str | None:
        """Name of the source's preset; None if it has none."""
        source = self.ratio or self.latency or self.client_errors or self.pool
        return source.preset if source is not None else None


class AnalysisSource(StrEnum):
    """The source of all metrics."""

    PROMETHEUS = "prometheus"
    SCRAPE = "scrape"


def require_different_names(metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
    """Reject duplicate names, because status, reports and Events identify metrics by name."""
    reject_duplicates([metric.name for metric in metrics])
    return metrics


def reject_duplicates(names: Sequence[str]) -> None:
    """Raise an error at the first duplicate name."""
    for index, name in enumerate(names):
        if name in names[:index]:
            raise build_field_error(f"expected unique names, found {name!r} twice", index, "name")


class Analysis(Frozen):
    """The metrics to compare, and how certain a decision must be."""

    source: AnalysisSource = AnalysisSource.PROMETHEUS
    """Source of the metrics: a Prometheus server, or the metrics pages of the pods."""
    prometheus: Name | None = None
    """Name of a Prometheus in the operator's file (docs/prometheus.md). Default: the operator's
    default."""
    interval: Annotated[float, DurationRange("1s", "5m")] = 10.0
    """Shortest time between two queries; each query waits until the next scrape is due."""
    tolerated_incident: Annotated[float, DurationRange("0s", "10m")] = 30.0
    """Longest disturbance, such as pods that are not ready, that does not fail a release."""
    warm_up: Annotated[float, DurationRange("0s", "1h")] = 60.0
    """Time after the canary's first request, and after a later pod becomes ready, during which
    requests are excluded."""
    min_duration: Annotated[float, DurationRange("0s", "168h")] = 1200.0
    """Shortest time under traffic before promotion."""
    no_data_timeout: Annotated[float, DurationRange("1s", "168h")] = 600.0
    """How long to wait for missing metrics before the release pauses."""
    false_positive_rate: FalsePositiveRate = 0.01
    """Highest probability that a release as good as stable is rolled back."""
    smallest_regression: Share = 0.005
    """Promotion requires evidence that the canary's failure rate exceeds stable's by less than this
    share of requests."""
    metrics: Annotated[
        tuple[Metric, ...],
        Field(min_length=1, max_length=20),
        AfterValidator(require_different_names),
    ]
    """Metrics to analyze; all must pass."""

    @model_validator(mode="after")
    def prometheus_is_used(self) -> Self:
        """Reject a name that the source ignores."""
        if self.prometheus is not None and self.source is not AnalysisSource.PROMETHEUS:
            raise build_field_error(
                "expected no name of a Prometheus with source scrape", "prometheus"
            )
        return self

    @model_validator(mode="after")
    def whole_seconds(self) -> Self:
        """Reject fractions of a second: Prometheus' client rounds times to whole seconds."""
        if self.interval % 1:
            found = format_duration(self.interval)
            raise build_field_error(
                f"expected an interval of whole seconds, found {found}", "interval"
            )
        return self
