"""Describes how kinds of routes differ: where backends are, and what metrics call them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from canary.core.increments import Side
from canary.kube.objects import Kind, Object
from canary.routers.names import Names

Ref = dict[str, Any]
"""One weighted backend of a route."""
Rule = dict[str, Any]
"""One rule of a route, with its list of weighted backends."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Properties of one kind of route: data and small pure functions."""

    kind: Kind
    at: tuple[str, str]
    """Path of the rules: a list, or a single rule."""
    refs: str
    """Key of the list of backends in a rule."""
    sends_to: Callable[[Ref, str, str], bool]
    """Returns whether a backend is the Service of this name, for a route in this namespace."""
    canary_backend: Callable[[Ref, Names], Ref]
    """Returns a copy of the user's backend that sends to the canary's Service."""
    confirmed: Callable[[Object], bool]
    """Returns whether the router has applied the current generation of the route."""
    backends: Callable[[Object, Names], Mapping[Side, str]]
    """Returns the names of both versions in the router's metrics; empty if it reports only one."""
    max_weight: int = 1_000_000
    """Largest weight that a route accepts."""
    drops_zero_weight: Callable[[Object, Rule], bool] = lambda _route, _rule: False
    """Returns whether the router removes backends of weight 0. Adding or removing a backend under
    traffic fails requests, so the canary keeps a minimal weight during a release."""
    is_observed: Callable[[Object], bool] = lambda _route: True
    """Returns whether the router has observed the current generation, accepted or not."""
    refused: Callable[[Object], str | None] = lambda _route: None
    """Returns why the router refuses the current generation; None if it does not."""
    implicit_full_weight: bool = False
    """A backend without a weight gets all traffic if it is alone, else none (instead of 1)."""

    def rules(self, route: Object) -> list[Rule]:
        """Return all rules; empty if the route has none."""
        found = route.get("spec", {}).get(self.at[1])
        if isinstance(found, dict):
            return [found]
        return list(found or [])

    def with_rules(self, route: Object, rules: list[Rule]) -> Object:
        """Return a copy of the route with these rules."""
        spec = route["spec"]
        value: object = rules if isinstance(spec[self.at[1]], list) else rules[0]
        return {**route, "spec": {**spec, self.at[1]: value}}

    def weight(self, ref: Ref, refs: list[Ref]) -> int:
        """Return the weight that the router uses."""
        if self.implicit_full_weight and len(refs) == 1:
            return 1
        return int(ref.get("weight", 0 if self.implicit_full_weight else 1))
