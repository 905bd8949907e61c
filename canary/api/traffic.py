"""Which workload is guarded, and who splits its traffic."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from canary.api.fields import (
    Frozen,
    GuardedName,
    LabelKey,
    ObjectName,
    RouteName,
    RuleName,
    Span,
    misfit,
)


class Target(Frozen):
    """The user's own workload."""

    kind: Literal["Deployment"] = "Deployment"
    """What is guarded."""
    name: GuardedName
    """Name of the Deployment, in the release's namespace."""


class ServiceRef(Frozen):
    """The user's Service; never written."""

    name: GuardedName
    """Name of the Service that the user's clients call."""


class Isolation(Frozen):
    """The label whose value is replaced in canary pods, so that nothing else counts them."""

    label: LabelKey
    """Key of a label that the Service selects on."""


class GatewayRoute(Frozen):
    """A user-owned HTTPRoute or GRPCRoute."""

    kind: Literal["HTTPRoute", "GRPCRoute"] = "HTTPRoute"
    """Kind of the route."""
    name: ObjectName
    """Name of the route."""
    rule: RuleName | None = None
    """Name of the rule whose backends are weighted; needed when the route has several."""


class IstioRoute(Frozen):
    """A route of an Istio VirtualService."""

    virtual_service: ObjectName
    """Name of the VirtualService."""
    route: RouteName | None = None
    """Name of its HTTP route; needed when there are several."""


class TraefikRoute(Frozen):
    """A weighted TraefikService (in the local world: the weighted service of a Traefik process)."""

    traefik_service: ObjectName
    """Name of the weighted TraefikService."""


class ReplicaShare(Frozen):
    """No router: traffic is shared by replica count, approximately."""


class Traffic(Frozen):
    """Who splits the traffic: exactly one member."""

    gateway_api: Annotated[GatewayRoute | None, Field(alias="gatewayAPI")] = None
    """A Gateway API route."""
    istio: IstioRoute | None = None
    """An Istio VirtualService."""
    traefik: TraefikRoute | None = None
    """A weighted TraefikService."""
    replicas: ReplicaShare | None = None
    """No router: share by replica count (approximate)."""
    settle: Annotated[float, Span("0s", "5m")] = 5.0
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
            raise misfit(f"exactly one of {', '.join(routers)} is expected, found {found}")
        return self
