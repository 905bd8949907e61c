"""Names of the Services and Deployments of both versions."""

from dataclasses import dataclass

from canary.core.snapshot import ReleaseResource


@dataclass(frozen=True, slots=True)
class Names:
    """Services and workloads of both versions, and the selected part of the route."""

    namespace: str
    service: str
    """The user's Service."""
    target: str
    """The user's Deployment."""
    part: str | None = None
    """Name of the rule to weight; None: every rule that sends traffic to the Service."""

    @property
    def canary_service(self) -> str:
        """Return the name of canary's Service, whose endpoints are the canary's pods."""
        return f"{self.target}-canary"

    @property
    def canary_target(self) -> str:
        """Return the name of canary's Deployment."""
        return f"{self.target}-canary"


def names_of(resource: ReleaseResource, part: str | None = None) -> Names:
    """Return the names for a release; by default the Service is named like the target."""
    target = resource.spec.target.name
    service = resource.spec.service.name if resource.spec.service else target
    return Names(resource.namespace, service, target, part)
