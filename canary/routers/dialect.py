"""What routers differ in: where a route keeps its backends, and what it calls them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from canary.core.increments import Side
from canary.kube.objects import Kind, Object
from canary.routers.names import Names

Ref = dict[str, Any]
"""One weighted backend, as the route has it."""
Rule = dict[str, Any]
"""One list of weighted backends, with whatever else the route says about it."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of route; data and small pure functions."""

    kind: Kind
    at: tuple[str, str]
    """Path of the rules: a list of them, or the only one."""
    refs: str
    """The rule's key whose value is the list of backends."""
    sends_to: Callable[[Ref, str, str], bool]
    """Whether a backend is the Service of that name, for a route in that namespace."""
    canary_backend: Callable[[Ref, Names], Ref]
    """Our backend beside the user's: the same in all but what it sends to."""
    confirmed: Callable[[Object], bool]
    """Whether the router has taken over the route as it is written."""
    backends: Callable[[Object, Names], Mapping[Side, str]]
    """What the router's own metrics call the sides; empty where they cannot be told apart."""
    max_weight: int = 1_000_000
    """Largest weight that the route can hold."""
    drops_zero_weight: Callable[[Object, Rule], bool] = lambda _route, _rule: False
    """Whether a backend of weight 0 is none to the router, which fails requests as one comes or
    goes under traffic: it then keeps a trace of weight while a release runs."""
    is_observed: Callable[[Object], bool] = lambda _route: True
    """Whether the router has looked at the route as it is written, whatever it thinks of it."""
    refused: Callable[[Object], str | None] = lambda _route: None
    """Why the router refuses the route as it is written, in a sentence; None: it does not."""
    implicit_full_weight: bool = False
    """A missing weight is everything for a lone backend and nothing beside others; else it is 1."""

    def rules(self, route: Object) -> list[Rule]:
        """All rules; none where the route has no such part."""
        found = route.get("spec", {}).get(self.at[1])
        if isinstance(found, dict):
            return [found]
        return list(found or [])

    def with_rules(self, route: Object, rules: list[Rule]) -> Object:
        """The same route with these rules."""
        spec = route["spec"]
        value: object = rules if isinstance(spec[self.at[1]], list) else rules[0]
        return {**route, "spec": {**spec, self.at[1]: value}}

    def weight(self, ref: Ref, refs: list[Ref]) -> int:
        """The weight that the router sees."""
        if self.implicit_full_weight and len(refs) == 1:
            return 1
        return int(ref.get("weight", 0 if self.implicit_full_weight else 1))
