"""The traffic section of the spec: the target, and how its traffic is split."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from canary.api.fields import (
    DurationRange,
    Frozen,
    GuardedName,
    LabelKey,
    ObjectName,
    RouteName,
    RuleName,
    build_field_error,
)


class TargetRef(Frozen):
    """The workload to release."""

    kind: Literal["Deployment"] = "Deployment"
    """Kind of the workload."""
    name: GuardedName
    """Name of the Deployment, in the release's namespace."""


class ServiceRef(Frozen):
    """The user's Service; never written."""

    name: GuardedName
    """Name of the Service that clients call."""


class Isolation(Frozen):
    """Labels with another value in canary pods, so that no Service selects them."""

    labels: Annotated[tuple[LabelKey, ...], Field(min_length=1, max_length=8)]
    """Keys of the pod labels that get another value in canary pods. Every Service that selects the
    target's pods, and the Deployment itself, must select by at least one of them."""


class GatewayRoute(Frozen):
    """A user-owned HTTPRoute or GRPCRoute."""

    kind: Literal["HTTPRoute", "GRPCRoute"] = "HTTPRoute"
    """Kind of the route."""
    name: ObjectName
    """Name of the route."""
    rule: RuleName | None = None
    """Name of the rule to weight. Default: every rule that sends traffic to the Service."""


class IstioRoute(Frozen):
    """A route of an Istio VirtualService."""

    virtual_service: ObjectName
    """Name of the VirtualService."""
    route: RouteName | None = None
    """Name of the HTTP route to weight. Default: every one that sends traffic to the Service."""


class TraefikRoute(Frozen):
    """A weighted TraefikService; in `canary demo`, a service in Traefik's configuration file."""

    traefik_service: ObjectName
    """Name of the weighted TraefikService."""


class ReplicaShare(Frozen):
    """No router: traffic is split approximately, by the number of pods.

    Stable keeps all of its pods. The canary gets the number of pods whose share of all pods is
    nearest to the weight: at least one, and at most as many as stable has (50 %).
    """


class Router(Frozen):
    """One of several routes: exactly one of its fields."""

    gateway_api: Annotated[GatewayRoute | None, Field(alias="gatewayAPI")] = None
    """A Gateway API route."""
    istio: IstioRoute | None = None
    """An Istio VirtualService."""
    traefik: TraefikRoute | None = None
    """A weighted TraefikService."""

    @model_validator(mode="after")
    def exactly_one_route(self) -> Self:
        """Reject an entry without exactly one route."""
        _exactly_one({"gatewayAPI": self.gateway_api, "istio": self.istio, "traefik": self.traefik})
        return self

    @property
    def kind(self) -> str:
        """Kind of the route: `HTTPRoute`, `GRPCRoute`, `VirtualService` or `TraefikService`."""
        if self.gateway_api is not None:
            return self.gateway_api.kind
        return "VirtualService" if self.istio is not None else "TraefikService"

    @property
    def name(self) -> str:
        """Name of the route."""
        if self.gateway_api is not None:
            return self.gateway_api.name
        if self.istio is not None:
            return self.istio.virtual_service
        return self.traefik.traefik_service if self.traefik is not None else ""

    @property
    def part(self) -> str | None:
        """Name of the rule to weight; None: every rule that sends traffic to the Service."""
        if self.gateway_api is not None:
            return self.gateway_api.rule
        return self.istio.route if self.istio is not None else None


MAX_ROUTES = 8


class TrafficSpec(Frozen):
    """How traffic is split: exactly one of the routers, or a list of routes."""

    gateway_api: Annotated[GatewayRoute | None, Field(alias="gatewayAPI")] = None
    """A Gateway API route."""
    istio: IstioRoute | None = None
    """An Istio VirtualService."""
    traefik: TraefikRoute | None = None
    """A weighted TraefikService."""
    replicas: ReplicaShare | None = None
    """No router: split by the number of replicas (approximate)."""
    routes: Annotated[tuple[Router, ...] | None, Field(min_length=1, max_length=MAX_ROUTES)] = None
    """Several routes, of any kinds, that send traffic to the Service; all get the same weight."""
    propagation_delay: Annotated[float, DurationRange("0s", "5m")] = 5.0
    """Time from a confirmed weight until requests follow it."""

    @model_validator(mode="after")
    def exactly_one_router(self) -> Self:
        """Reject a spec without exactly one router; there is no implicit fallback."""
        _exactly_one(
            {
                "gatewayAPI": self.gateway_api,
                "istio": self.istio,
                "traefik": self.traefik,
                "replicas": self.replicas,
                "routes": self.routes,
            }
        )
        return self

    @model_validator(mode="after")
    def each_route_once(self) -> Self:
        """Reject duplicate routes: a route has one weight and one record of the user's weights."""
        named = [(route.kind, route.name) for route in self.routes or ()]
        twice = next((one for one in named if named.count(one) > 1), None)
        if twice is not None:
            raise build_field_error(
                "expected each route once (without a rule, all of its rules are weighted), "
                f"found {twice[0]} {twice[1]} twice",
                "routes",
            )
        return self

    @property
    def each(self) -> tuple[Router, ...]:
        """The routes to weight; empty with `replicas`."""
        if self.routes is not None:
            return self.routes
        if self.replicas is not None:
            return ()
        one = Router.model_construct(
            gateway_api=self.gateway_api, istio=self.istio, traefik=self.traefik
        )
        return (one,)


def _exactly_one(members: Mapping[str, object]) -> None:
    given = [name for name, member in members.items() if member is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise build_field_error(f"expected exactly one of {', '.join(members)}, found {found}")
