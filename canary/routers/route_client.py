"""The client that all routers share: gets a route, computes its desired state and patches it.

Each JSON Patch begins with a `test` of the rules that were read, so a concurrent change fails it.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from canary.core.plan import SetWeight, TrafficAction
from canary.core.snapshot import ReleaseResource, Route
from canary.errors import ConflictError, NotFoundError
from canary.kube import claims
from canary.kube.claims import MANAGER, list_field_owners
from canary.kube.objects import Object, Objects
from canary.routers import split
from canary.routers.dialect import Dialect
from canary.routers.names import Names, names_of


@dataclass(frozen=True, slots=True)
class WeightedRouteClient:
    """A TrafficRouter that sets weights in one route of the user."""

    objects: Objects
    dialect: Dialect
    name: str
    """Name of the route."""
    part: str | None = None
    """Name of the rule to weight; None: every rule that sends traffic to the user's Service."""

    def read(self, resource: ReleaseResource) -> Route | None:
        """See TrafficRouter; also None if no weight can be written (see `problem`)."""
        route, names = self._get_route(resource), names_of(resource, self.part)
        if route is None:
            return None
        changed = split.is_changed(self.dialect, route, names)
        if not changed and split.find_problem(self.dialect, route, names):
            return None
        return Route(
            weight=split.read_weight(self.dialect, route, names),
            confirmed=self.dialect.confirmed(route),
            at_rest=not changed
            and (split.is_shared(route) or claims.find_own_claim(route, self.dialect.at) is None),
            writer=find_last_writer(route, self.dialect.at),
            backends=self.dialect.backends(route, names),
            refused=self.dialect.refused(route),
        )

    def find_problem(self, resource: ReleaseResource) -> str | None:
        """Return why the route cannot be weighted, in a sentence; None if it can."""
        try:
            route = self.objects.get(self.dialect.kind, resource.namespace, self.name)
        except NotFoundError as error:
            return f"{self._describe_route} cannot be read: {error}."
        if route is None:
            return f"{self._describe_route} does not exist in namespace {resource.namespace}."
        return split.find_problem(self.dialect, route, names_of(resource, self.part))

    def apply(self, resource: ReleaseResource, action: TrafficAction) -> None:
        """See TrafficRouter. Does not write if nothing changes.

        Raises:
            ConflictError: the route changed meanwhile, or is missing and the weight is above 0.
        """
        route, names = self._get_route(resource), names_of(resource, self.part)
        if isinstance(action, SetWeight):
            self._set_weight(resource, route, names, action.weight)
        elif route is not None:
            self._restore_route(resource, route, names)

    def _set_weight(
        self, resource: ReleaseResource, route: Object | None, names: Names, weight: int
    ) -> None:
        trouble = (
            self.find_problem(resource)
            if route is None
            else split.find_problem(self.dialect, route, names)
        )
        if route is not None and trouble is None:
            self._write_route(
                resource, route, split.next_weight(self.dialect, route, names, weight)
            )
        elif weight > 0:
            raise ConflictError(trouble or f"{self._describe_route} no longer exists")
        elif route is not None:
            self._write_route(resource, route, split.restore_weights(self.dialect, route, names))

    def _restore_route(self, resource: ReleaseResource, route: Object, names: Names) -> None:
        """Restore the route, then drop the claim, which would make the user's next apply fail.

        The claim stays while another release is in flight on this route, to protect it.
        """
        route = self._write_route(resource, route, split.next_restore(self.dialect, route, names))
        forget = claims.remove_claim_patch(route, self.dialect.at)
        if forget and not split.is_shared(route):
            # A status update may have moved the list; the next reconcile tries again.
            with suppress(ConflictError):
                self.objects.patch(self.dialect.kind, resource.namespace, self.name, forget)

    def _write_route(self, resource: ReleaseResource, route: Object, wanted: Object) -> Object:
        """Apply the change as one patch, which fails if the rules changed since the read."""
        patch = _build_patch(route, wanted, self.dialect.at)
        if not patch:
            return route
        return self.objects.patch(self.dialect.kind, resource.namespace, self.name, patch)

    def _get_route(self, resource: ReleaseResource) -> Object | None:
        """Return the route; None if it, or its kind, does not exist in the cluster."""
        try:
            return self.objects.get(self.dialect.kind, resource.namespace, self.name)
        except NotFoundError:
            return None

    @property
    def _describe_route(self) -> str:
        return f"{self.dialect.kind.kind} {self.name}"


def _build_patch(route: Object, wanted: Object, at: tuple[str, str]) -> list[dict[str, Any]]:
    """Return the JSON Patch of the rules and canary's annotation."""
    path, (outer, inner) = "/" + "/".join(at), at
    before, after = route[outer].get(inner), wanted[outer].get(inner)
    patch: list[dict[str, Any]] = [{"op": "test", "path": path, "value": before}]
    if before != after:
        patch.append({"op": "replace", "path": path, "value": after})
    patch += _annotation_patch(route, wanted)
    return patch if len(patch) > 1 else []


def _annotation_patch(route: Object, wanted: Object) -> list[dict[str, Any]]:
    before = route["metadata"].get("annotations")
    after = wanted["metadata"].get("annotations")
    path = "/metadata/annotations"
    key = f"{path}/{split.SAVED_WEIGHTS.replace('/', '~1')}"
    if before == after:
        return []
    if not before:
        return [{"op": "add", "path": path, "value": after}]
    if not after:
        return [{"op": "test", "path": path, "value": before}, {"op": "remove", "path": path}]
    test = [{"op": "test", "path": key, "value": before.get(split.SAVED_WEIGHTS)}]
    guard = (
        test if split.SAVED_WEIGHTS in before else []
    )  # Another release may have written it meanwhile.
    if split.SAVED_WEIGHTS in after:
        return [*guard, {"op": "add", "path": key, "value": after[split.SAVED_WEIGHTS]}]
    return [*guard, {"op": "remove", "path": key}]


def find_last_writer(route: Object, at: tuple[str, str]) -> str | None:
    """Return the last writer of this part of the spec; None if it is canary or unknown.

    Changing a field takes its ownership, so as long as canary owns it nobody else changed it.
    """
    entries = [entry for _, entry in list_field_owners(route, at)]
    if not entries or any(entry.get("manager") == MANAGER for entry in entries):
        return None
    latest = max(entries, key=lambda entry: str(entry.get("time", "")))
    return str(latest.get("manager")) if latest.get("manager") else None
