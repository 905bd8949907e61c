"""Names of the Services and Deployments of both versions."""

from dataclasses import dataclass

from canary.core.snapshot import ReleaseResource


@dataclass(frozen=True, slots=True)
class Names:
    """Services and workloads of both sides, and which part of the route is meant."""

    namespace: str
    service: str
    """The user's Service."""
    target: str
    """The user's Deployment."""
    part: str | None = None
    """Name of the one rule that is weighted; None: every rule that sends to the Service."""

    @property
    def canary_service(self) -> str:
        """Our Service, whose endpoints are the canary's pods."""
        return f"{self.target}-canary"

    @property
    def canary_target(self) -> str:
        """Our Deployment."""
        return f"{self.target}-canary"


def names_of(resource: ReleaseResource, part: str | None = None) -> Names:
    """The names of one release; the Service is named like the target unless the spec says so."""
    target = resource.spec.target.name
    service = resource.spec.service.name if resource.spec.service else target
    return Names(resource.namespace, service, target, part)
