"""The wish: `CanaryRelease.spec` as frozen models. The CRD is generated from these."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from canary.api.fields import Duration, Frozen, LabelKey, Name, ObjectName, Ratio, Weight

Text = Annotated[str, StringConstraints(min_length=1, max_length=8192)]


class Target(Frozen):
    """The user's own workload."""

    kind: Literal["Deployment"] = "Deployment"
    name: ObjectName


class ServiceRef(Frozen):
    """The user's Service; never written."""

    name: Name


class Isolation(Frozen):
    """The label whose value is replaced in canary pods, so that nothing else counts them."""

    label: LabelKey


class GatewayRoute(Frozen):
    """A user-owned HTTPRoute or GRPCRoute; `rule` picks one by its name."""

    kind: Literal["HTTPRoute", "GRPCRoute"] = "HTTPRoute"
    name: ObjectName
    rule: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = None


class IstioRoute(Frozen):
    """A route of an Istio VirtualService."""

    virtual_service: ObjectName
    route: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = None


class TraefikRoute(Frozen):
    """A weighted TraefikService (in the local world: the weighted service of a Traefik process)."""

    traefik_service: ObjectName


class ReplicaShare(Frozen):
    """No router: traffic is shared by replica count, approximately."""


class Traffic(Frozen):
    """Who splits the traffic: exactly one member."""

    gateway_api: Annotated[GatewayRoute | None, Field(alias="gatewayAPI")] = None
    istio: IstioRoute | None = None
    traefik: TraefikRoute | None = None
    replicas: ReplicaShare | None = None
    settle: Duration = 5.0
    """How long a confirmed route may still lag in the data plane."""

    @model_validator(mode="after")
    def exactly_one_router(self) -> Self:
        """Nothing falls back silently: no router, or two, is an error."""
        routers = {
            "gatewayAPI": self.gateway_api,
            "istio": self.istio,
            "traefik": self.traefik,
            "replicas": self.replicas,
        }
        given = [name for name, router in routers.items() if router is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"exactly one of {', '.join(routers)} is expected, found {found}")
        return self


class CronJobRef(Frozen):
    """An existing (suspended) CronJob whose Job template is run."""

    cron_job: ObjectName


class Webhook(Frozen):
    """2xx passes, 4xx fails, anything else is inconclusive."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+\S*$", max_length=2048)]
    timeout: Duration = 10.0


class Check(Frozen):
    """A check at weight 0: exactly one of `jobFrom` and `webhook`."""

    name: Name
    job_from: CronJobRef | None = None
    webhook: Webhook | None = None

    @model_validator(mode="after")
    def exactly_one_kind(self) -> Self:
        """A check without a way to run would pass silently."""
        if (self.job_from is None) == (self.webhook is None):
            found = "none" if self.job_from is None else "both"
            raise ValueError(f"exactly one of jobFrom and webhook is expected, found {found}")
        return self


class Step(Frozen):
    """One share of traffic, held at least this long."""

    weight: Weight
    hold: Duration = 120.0
    approval: bool = False


class Leak(Frozen):
    """How many connections may be held and never given back, over which window."""

    connections: Annotated[float, Field(gt=0, le=1000)] = 3.0
    window: Duration = 600.0


class RatioSource(Frozen):
    """Bad requests out of all: a preset, or two selectors of counters."""

    preset: str | None = None
    total: Text | None = None
    bad: Text | None = None

    @model_validator(mode="after")
    def preset_or_selectors(self) -> Self:
        """One way to say it: a preset alone, or total and bad together."""
        selectors = (self.total is not None, self.bad is not None)
        if (self.preset is None and selectors == (True, True)) or (
            self.preset is not None and selectors == (False, False)
        ):
            return self
        names = [name for name in ("preset", "total", "bad") if getattr(self, name) is not None]
        raise ValueError(
            "either preset, or total and bad together are expected, found "
            + (" and ".join(names) or "none")
        )


class PoolSource(Frozen):
    """A connection pool's gauges by preset; `max` where the exporter has none."""

    preset: str
    max: Annotated[int, Field(ge=1, le=100_000)] | None = None


class Metric(Frozen):
    """One metric: exactly one of `ratio`, `pool`, `query`."""

    name: Name
    ratio: RatioSource | None = None
    pool: PoolSource | None = None
    query: Text | None = None
    tolerance: Annotated[float, Field(ge=1, le=100)] = 1.25
    """Fail when the canary's rate is above this times stable's."""
    limit: Ratio | None = None
    """Absolute limit; default 0.05 for ratios (share of requests), 0.75 for pools (share of max)."""
    floor: Annotated[float, Field(ge=0, lt=1)] = 0.0002
    """Differences below this share of requests are too small to matter."""
    leak: Leak | None = None
    min: float | None = None
    max: float | None = None
    for_: Annotated[Duration, Field(alias="for")] = 60.0

    @model_validator(mode="after")
    def exactly_one_source(self) -> Self:
        """A metric without a source would never fail, one with two would hide one."""
        sources = {"ratio": self.ratio, "pool": self.pool, "query": self.query}
        given = [name for name, source in sources.items() if source is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"exactly one of ratio, pool, query is expected, found {found}")
        return self

    @model_validator(mode="after")
    def fields_fit_the_source(self) -> Self:
        """A field that its source ignores is a mistake that would go unseen."""
        allowed = {
            "ratio": {"tolerance", "limit", "floor"},
            "pool": {"limit", "leak"},
            "query": {"min", "max", "for_"},
        }
        kind = self.kind
        given = self.model_fields_set - {"name", "ratio", "pool", "query"}
        wrong = sorted(field.rstrip("_") for field in given - allowed[kind])
        if wrong:
            fits = ", ".join(sorted(field.rstrip("_") for field in allowed[kind]))
            raise ValueError(f"{', '.join(wrong)} means nothing for a {kind} metric; allowed: {fits}")
        if kind == "query" and self.min is None and self.max is None:
            raise ValueError("a query metric needs min, max or both: without them it never fails")
        return self

    @property
    def kind(self) -> Literal["ratio", "pool", "query"]:
        """Which of the three sources is given."""
        if self.ratio is not None:
            return "ratio"
        return "pool" if self.pool is not None else "query"


class Source(StrEnum):
    """Where the numbers come from."""

    PROMETHEUS = "prometheus"
    SCRAPE = "scrape"


class Analysis(Frozen):
    """What is compared, how often, and how sure the judge has to be."""

    source: Source = Source.PROMETHEUS
    interval: Annotated[Duration, Field(ge=1, le=300)] = 10.0
    incident: Annotated[Duration, Field(ge=0, le=600)] = 30.0
    warm_up: Annotated[Duration, Field(le=3600)] = 60.0
    minimum: Annotated[Duration, Field(le=604_800)] = 1200.0
    patience: Annotated[Duration, Field(ge=1, le=604_800)] = 600.0
    """How long silent or unreachable metrics are waited for before the release pauses."""
    false_alarm: Annotated[float, Field(gt=0, le=0.2)] = 0.01
    smallest_regression: Ratio = 0.005
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def names_differ(self) -> Self:
        """Status, reports and events name a metric by its name alone."""
        _no_twins("metrics", [metric.name for metric in self.metrics])
        return self


class OnInconclusive(StrEnum):
    """What to do when the evidence does not come in time."""

    PAUSE = "Pause"
    ROLL_BACK = "RollBack"
    PROMOTE = "Promote"


class SecretRef(Frozen):
    """One key of a Secret in the release's namespace."""

    name: ObjectName
    key: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class SecretSource(Frozen):
    """A value that stays in a Secret."""

    secret_ref: SecretRef


class Notify(Frozen):
    """One receiver."""

    slack: SecretSource


class Spec(Frozen):
    """What the user wants: which target, which router, which steps, which metrics."""

    target: Target
    service: ServiceRef | None = None
    isolation: Isolation | None = None
    traffic: Traffic
    suspend: bool = False
    before: Annotated[tuple[Check, ...], Field(max_length=20)] = ()
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=20)]
    bake: Duration = 0.0
    deadline: Annotated[Duration, Field(ge=1)] = 7200.0
    progress_deadline: Annotated[Duration, Field(ge=1)] = 600.0
    """How long canary pods may take to become ready, and the target to roll."""
    analysis: Analysis
    on_inconclusive: OnInconclusive = OnInconclusive.PAUSE
    notify: Annotated[tuple[Notify, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def weights_rise(self) -> Self:
        """A falling weight in the middle of a release is a typing mistake."""
        for index in range(1, len(self.steps)):
            before, after = self.steps[index - 1].weight, self.steps[index].weight
            if after <= before:
                raise ValueError(
                    f"weights must strictly rise: steps[{index}].weight is {after} after {before}"
                )
        return self

    @model_validator(mode="after")
    def checks_differ(self) -> Self:
        """A check's result is kept under its name."""
        _no_twins("before", [check.name for check in self.before])
        return self

    @model_validator(mode="after")
    def deadline_allows_the_holds(self) -> Self:
        """A release that cannot end before its deadline would always pause."""
        needed = max(sum(step.hold for step in self.steps), self.analysis.minimum)
        if needed >= self.deadline:
            raise ValueError(
                f"deadline must be longer than the holds together and analysis.minimum "
                f"({needed:g} s), found {self.deadline:g} s"
            )
        return self


def _no_twins(where: str, names: list[str]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"names in {where} must differ, found twice: {', '.join(twins)}")
