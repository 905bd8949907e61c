"""What is measured, and how sure the judge has to be."""

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
FalsePositiveRate = Annotated[float, Field(gt=0, le=0.2), Expect("a chance above 0 and up to 0.2")]
Connections = Annotated[
    float, Field(gt=0, le=1000), Expect("a number of connections above 0 and up to 1000")
]
PoolMax = Annotated[int, Field(ge=1, le=100_000), Expect("a whole number from 1 to 100000")]


class Leak(Frozen):
    """How many connections may be held and never given back, over which window."""

    connections: Connections = 3.0
    """Connections held beyond what traffic explains."""
    window: Annotated[float, DurationRange("1s", "24h")] = 600.0
    """At least twice the longest legitimate hold of a connection."""


class RatioSource(Frozen):
    """Bad requests out of all: a preset, or two counters.

    With a preset an error is what the server did wrong: HTTP status 5XX (Istio: and connections
    that failed), or the gRPC codes Unknown, DeadlineExceeded, Unimplemented, Internal, Unavailable
    and DataLoss. 401, 403, 404, 409, 422, 429 and other 4xx never count: see `clientErrors`.
    """

    preset: PresetName | None = None
    """Name of a ratio preset, such as traefik or istio."""
    total: Query | None = None
    """Counter of all requests."""
    bad: Query | None = None
    """Counter of the bad ones among them."""
    good: Query | None = None
    """Counter of the good ones, where there is none of the bad: a bucket of a histogram."""

    @model_validator(mode="after")
    def preset_or_selectors(self) -> Self:
        """One way to say it: a preset alone, or total with either bad or good."""
        names = ("preset", "total", "bad", "good")
        given = [name for name in names if getattr(self, name) is not None]
        if given not in (["preset"], ["total", "bad"], ["total", "good"]):
            found = " and ".join(given) or "none"
            raise build_field_error(
                f"expected either preset, or total with bad or good, found {found}"
            )
        return self


class PoolSource(Frozen):
    """A connection pool's gauges by preset.

    Pools that differ in any label are judged each by itself; the fullest one counts.
    """

    preset: PresetName
    """Name of a pool preset, such as hikaricp or psycopg-pool."""
    max: PoolMax | None = None
    """Size of the pool, in connections, where the exporter does not say."""


class LatencySource(Frozen):
    """Slow requests out of all, by a classic histogram of response times.

    Native histograms are not read: Prometheus has to keep the classic series beside them
    (`scrape_classic_histograms`, in Prometheus 3 `always_scrape_classic_histograms`).
    """

    preset: PresetName
    """Name of a latency preset, such as traefik or otel-http."""
    above: Annotated[float, DurationRange("1ms", "1h")]
    """A request is slow above this; the histogram's nearest bucket bound is used and named."""


class ClientErrorsSource(Frozen):
    """Requests refused with a client error (4xx) out of all."""

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
"""Which fields mean something for which source."""
REQUEST_SHARES = frozenset({"ratio", "latency", "clientErrors"})
"""Sources that give a share of requests, compared with stable's."""
_TOLERANCES = {"ratio": 1.25, "latency": 1.25, "clientErrors": 1.5}
_LIMITS = {"ratio": 0.05, "pool": 0.75}


class Metric(Frozen):
    """One metric: exactly one of `ratio`, `latency`, `clientErrors`, `pool`, `query`."""

    name: Name
    """How status, reports and events call it."""
    ratio: RatioSource | None = None
    """Bad requests out of all."""
    latency: LatencySource | None = None
    """Slow requests out of all."""
    client_errors: ClientErrorsSource | None = None
    """Requests refused with a client error (4xx) out of all, compared with stable only."""
    pool: PoolSource | None = None
    """A connection pool."""
    query: Query | None = None
    """Any PromQL expression with one value, held against min and max."""
    tolerance: Tolerance | None = None
    """Ratio, latency, clientErrors: fail when the canary's rate is above this times stable's;
    without it 1.25 (clientErrors: 1.5)."""
    limit: Share | None = None
    """Absolute limit; without it 0.05 of the requests (ratio), 0.75 of the pool's size (pool), and
    none for latency, which then is only compared with stable."""
    floor: Floor = 0.0002
    """Ratio, latency, clientErrors: differences below this share of requests are too small to
    matter."""
    leak: Leak | None = None
    """Pool: how many connections may be lost."""
    min: float | None = None
    """Query: fail below."""
    max: float | None = None
    """Query: fail above."""
    for_: Annotated[float, DurationRange("0s", "24h"), Field(alias="for")] = 60.0
    """Query: how long it has to be out of bounds."""

    @model_validator(mode="after")
    def exactly_one_source(self) -> Self:
        """A metric without a source would never fail, one with two would hide one."""
        given = self._given()
        if len(given) != 1:
            found, kinds = " and ".join(given) or "none", ", ".join(FIELDS_OF)
            raise build_field_error(f"expected exactly one of {kinds}, found {found}")
        return self

    @model_validator(mode="after")
    def fields_fit_the_source(self) -> Self:
        """A field that its source ignores is a mistake that would go unseen."""
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
        """Without bounds a query never fails; with min above max it always does."""
        if self.kind == "query" and self.min is None and self.max is None:
            raise build_field_error(
                "expected min, max or both with a query: without them it never fails"
            )
        if self.min is not None and self.max is not None and self.min > self.max:
            raise build_field_error(
                f"expected min to be at most max, found {self.min:g} and {self.max:g}", "min"
            )
        return self

    def _given(self) -> list[MetricKind]:
        kinds: tuple[MetricKind, ...] = get_args(MetricKind)
        names = {"clientErrors": "client_errors"}
        return [kind for kind in kinds if getattr(self, names.get(kind, kind)) is not None]

    @property
    def kind(self) -> MetricKind:
        """Which of the sources is given."""
        return self._given()[0]

    @property
    def is_request_share(self) -> bool:
        """Whether it is a share of requests, compared with stable's."""
        return self.kind in REQUEST_SHARES

    @property
    def allowed_ratio(self) -> float:
        """The canary may have this many times stable's rate: `tolerance` or its default."""
        return _TOLERANCES.get(self.kind, 1.0) if self.tolerance is None else self.tolerance

    @property
    def absolute_limit(self) -> float | None:
        """`limit` or its default: a share (0–1); None where there is none."""
        return _LIMITS.get(self.kind) if self.limit is None else self.limit

    @property
    def preset(self) -> str | None:
        """Name of the source's preset; None where it has none."""
        source = self.ratio or self.latency or self.client_errors or self.pool
        return source.preset if source is not None else None


class AnalysisSource(StrEnum):
    """Where the numbers come from."""

    PROMETHEUS = "prometheus"
    SCRAPE = "scrape"


def require_different_names(metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
    """Status, reports and events name a metric by its name alone."""
    reject_duplicates([metric.name for metric in metrics])
    return metrics


def reject_duplicates(names: Sequence[str]) -> None:
    """Raises a misfit at the first name that was there before."""
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
    """Shortest time between two queries; metrics are queried when the next scrape is due."""
    tolerated_incident: Annotated[float, DurationRange("0s", "10m")] = 30.0
    """Longest disturbance that does not fail a release; unready pods get no traffic meanwhile."""
    warm_up: Annotated[float, DurationRange("0s", "1h")] = 60.0
    """Warm-up of each new pod; its requests are excluded."""
    min_duration: Annotated[float, DurationRange("0s", "168h")] = 1200.0
    """Shortest time under traffic before promotion."""
    no_data_timeout: Annotated[float, DurationRange("1s", "168h")] = 600.0
    """How long to wait for missing metrics before the release pauses."""
    false_positive_rate: FalsePositiveRate = 0.01
    """Highest probability that a release as good as stable is rolled back."""
    smallest_regression: Share = 0.005
    """Promotion must rule out that the canary fails this share of requests more than stable."""
    metrics: Annotated[
        tuple[Metric, ...],
        Field(min_length=1, max_length=20),
        AfterValidator(require_different_names),
    ]
    """Metrics to analyze; all must pass."""

    @model_validator(mode="after")
    def prometheus_is_used(self) -> Self:
        """A name that the source ignores is a mistake that would go unseen."""
        if self.prometheus is not None and self.source is not AnalysisSource.PROMETHEUS:
            raise build_field_error(
                "no name of a Prometheus is expected with source scrape", "prometheus"
            )
        return self

    @model_validator(mode="after")
    def whole_seconds(self) -> Self:
        """Prometheus' client rounds times to whole seconds: any other step would drift."""
        if self.interval % 1:
            found = format_duration(self.interval)
            raise build_field_error(
                f"expected an interval of whole seconds, found {found}", "interval"
            )
        return self
