"""Treats several routes as one.

The weight is the largest of all routes, so that remaining canary traffic is never missed; it counts
as confirmed once all routes have it. A write goes to every route even if one of them fails, so that
one broken route does not keep the others from going back to 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from canary.core.increments import Side
from canary.core.plan import TrafficAction
from canary.core.snapshot import ReleaseResource, Route
from canary.errors import CanaryError
from canary.interfaces import TrafficRouter


@dataclass(frozen=True, slots=True)
class MultiRouteRouter:
    """A TrafficRouter over several others, by the name that messages use for each."""

    routers: Mapping[str, TrafficRouter]

    def read(self, resource: ReleaseResource) -> Route | None:
        """See TrafficRouter. None if a route is missing and no route has a canary backend.

        A route that is missing during a release sends no traffic to the canary. A route that cannot
        be read is assumed to have its desired weight.

        Raises:
            CanaryError: no route can be read; without a release: any route cannot be read.
        """
        seen: dict[str, Route | None] = {}
        errors: list[CanaryError] = []
        for name, router in self.routers.items():
            try:
                seen[name] = router.read(resource)
            except CanaryError as error:
                errors.append(error)
                seen[name] = Route(resource.status.weight, confirmed=False, at_rest=False)
        if errors and (resource.status.release is None or len(errors) == len(seen)):
            raise errors[0]
        there = [route for route in seen.values() if route is not None]
        if not there or (len(there) < len(seen) and all(route.at_rest for route in there)):
            return None
        return _combine_routes(seen, there)

    def apply(self, resource: ReleaseResource, action: TrafficAction) -> None:
        """See TrafficRouter. Tries all routes, then raises the first error."""
        errors: list[CanaryError] = []
        for router in self.routers.values():
            try:
                router.apply(resource, action)
            except CanaryError as error:
                errors.append(error)
        if errors:
            raise errors[0]


def _combine_routes(seen: Mapping[str, Route | None], there: list[Route]) -> Route:
    weights = [route.weight if route is not None else 0 for route in seen.values()]
    even = len(set(weights)) == 1
    confirmed = even and all(route.confirmed for route in there)
    return Route(
        weight=max(weights),
        confirmed=confirmed,
        at_rest=all(route.at_rest for route in there),
        writer=next((route.writer for route in there if route.writer is not None), None),
        backends=_common_backends(there),
        lowest=min(weights),
        refused=next((one.refused for one in there if one.refused), None),
        detail="" if confirmed else "; ".join(_describe_route(*one) for one in seen.items()),
    )


def _common_backends(there: list[Route]) -> Mapping[Side, str]:
    """Return the names if all routes share them, else none: no single query finds all requests."""
    first = there[0].backends
    return first if all(route.backends == first for route in there) else {}


def _describe_route(name: str, route: Route | None) -> str:
    if route is None:
        return f"{name} cannot be weighted"
    return f"{name} has {route.weight} %" + ("" if route.confirmed else ", not confirmed")
