"""Reads the canary's weight from a route, sets it, and restores the user's weights. Pure.

During a release the route contains the canary's backends and one annotation with the releases in
flight and the weights that the user had written. Both are added and removed in the same write, so
no crash leaves one without the other. The saved weights are used only if the rule still has the
shape that canary gave it: if the user changed the rule meanwhile, the change wins.

Several releases can share a route and even a rule. To change a weight, all releases are first
removed from the rule, which gives the user's weights; then those in flight are added again, in the
order of their start. Example with `auth` and `cart` in one rule:

    user's weights            auth 50, cart 50
    auth at 5 %               auth 95, cart 100, auth-canary 5
    cart at 10 % as well      auth 1900, cart 1800, auth-canary 100, cart-canary 200
    auth ends                 auth 100, cart 90, cart-canary 10
    cart ends                 auth 50, cart 50

Each release multiplies the weights by 100 so that all shares stay exact integers: 50:50 is 1:1, at
5 % auth gets 95 of 100 and its canary 5, and cart keeps half of the whole with 100 of 200.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from canary.kube.objects import Object
from canary.routers.dialect import Dialect, Ref, Rule
from canary.routers.names import Names
from canary.routers.shares import FULL_PERCENT, WeightSplit

SAVED_WEIGHTS = "canary-controller.dev/weights-before"
"""Annotation, JSON. `releases`: the Service of each release in flight, by its Deployment's name;
`rules`: for each rule that we changed (its index), the user's weights; null: none written."""

Weights = list[int | None]


@dataclass(frozen=True, slots=True)
class _SavedWeights:
    """Content of the annotation; empty if it is missing or cannot be parsed."""

    releases: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, Weights] = field(default_factory=dict)

    def in_flight(self, names: Names) -> dict[str, Names]:
        """Return all releases on the route, including the one of these names."""
        others = {
            target: Names(names.namespace, service, target)
            for target, service in self.releases.items()
        }
        return {**others, names.target: names}


@dataclass(frozen=True, slots=True)
class _Backends:
    """The backends of one rule by owner, each in their original order."""

    stable: list[Ref]
    canary: list[Ref]
    others: list[Ref]


def read_weight(dialect: Dialect, route: Object, names: Names) -> int:
    """Return the canary's percentage of the Service's traffic, the largest of all rules."""
    rules = dialect.rules(route)
    return max((_read_split(dialect, rule, names).percent for rule in rules), default=0)


def with_weight(dialect: Dialect, route: Object, names: Names, weight: int) -> Object:
    """Return the route with this percentage for the canary in every rule that is weighted.

    Raises ValueError if `find_problem` reports a problem.
    """
    trouble = find_problem(dialect, route, names)
    if trouble is not None:
        raise ValueError(trouble)
    return _rewrite_rules(dialect, route, names, weight)


def restore_weights(dialect: Dialect, route: Object, names: Names) -> Object:
    """Return the route without this release; keeps other changes."""
    return (
        _rewrite_rules(dialect, route, names, None) if is_changed(dialect, route, names) else route
    )


def _rewrite_rules(dialect: Dialect, route: Object, names: Names, weight: int | None) -> Object:
    """Return the route with this weight for the release (None: without it); others keep theirs."""
    # All releases are removed first, because only the user's weights can be compared with those
    # saved. Then they are added in the order of their start, so the same percentages always give
    # the same weights, and a write that is repeated after a crash changes nothing.
    memory, rules = _read_saved(route), dialect.rules(route)
    releases, users = memory.in_flight(names), dict[str, Weights]()
    for index, rule in enumerate(rules):
        before = memory.rules.get(str(index))
        shares = _release_percents(dialect, rule, releases)
        meant = weight if _is_meant(dialect, rule, names) else None
        if meant is not None or names.target in shares:
            user = _user_rule(dialect, rule, releases.values(), before)
            before = [ref.get("weight") for ref in user[dialect.refs]]
            if meant is None:
                del shares[names.target]
            else:
                shares[names.target] = meant
            wanted = [(releases[target], percent) for target, percent in shares.items()]
            rules[index] = _apply_releases(dialect, route, user, wanted)
        # Without a release in the rule its weights are the user's again. Saved longer, they would
        # one day undo a change of the user.
        if shares and before is not None:
            users[str(index)] = before
    # The new release goes last, so that the order of the annotation is that of the starts.
    in_flight = {k: v.service for k, v in releases.items() if k != names.target}
    if weight is not None:
        in_flight[names.target] = names.service
    changed = dialect.with_rules(route, rules) if rules else route
    return _save_weights(changed, _SavedWeights(in_flight, users))


def next_weight(dialect: Dialect, route: Object, names: Names, weight: int) -> Object:
    """Return the route to write next on the way to this weight; an unchanged route means: wait.

    If the router drops backends of weight 0, the canary first gets a minimal weight, so that the
    router has connected to it before real traffic arrives.
    """
    wanted = with_weight(dialect, route, names, weight)
    if (
        weight == 0
        or read_weight(dialect, route, names) > 0
        or not _drops_zero_weight(dialect, route, names)
    ):
        return wanted
    # Two writes: first 1 of 100,000 requests or fewer, and once the router has confirmed that, the
    # weight. Written at once, 5 % of the users would meet a backend with no open connection yet.
    trace = with_weight(dialect, route, names, 0)
    if dialect.rules(trace) != dialect.rules(route):
        return trace
    return wanted if dialect.confirmed(route) else route


def next_restore(dialect: Dialect, route: Object, names: Names) -> Object:
    """Return the route to write next on the way back to the user's weights.

    If the router drops backends of weight 0, the canary first goes to a minimal weight. That step
    needs to be observed but not accepted: a deleted backend can no longer be resolved.
    """
    if not (is_changed(dialect, route, names) and _drops_zero_weight(dialect, route, names)):
        return restore_weights(dialect, route, names)
    if read_weight(dialect, route, names) > 0:
        return with_weight(dialect, route, names, 0)
    return restore_weights(dialect, route, names) if dialect.is_observed(route) else route


def is_changed(dialect: Dialect, route: Object, names: Names) -> bool:
    """Return whether the route has a backend of this release, or the annotation lists it.

    An annotation without any release is damaged; every release may remove it.
    """
    if is_shared(route) and names.target in (_read_saved(route).releases or {names.target}):
        return True
    return any(_sort_backends(dialect, rule, names).canary for rule in dialect.rules(route))


def is_shared(route: Object) -> bool:
    """Return whether any release is in flight on this route."""
    return SAVED_WEIGHTS in _annotations_of(route)


def weighted_rules(dialect: Dialect, route: Object, names: Names) -> list[int]:
    """Return the indices of the rules that have, or would get, a canary backend."""
    rules = enumerate(dialect.rules(route))
    return [
        index
        for index, rule in rules
        if _sort_backends(dialect, rule, names).canary or _is_meant(dialect, rule, names)
    ]


def find_problem(dialect: Dialect, route: Object, names: Names) -> str | None:
    """Return why no weight can be written into this route; None if it can."""
    rules = dialect.rules(route)
    where = f"{dialect.kind.kind} {route['metadata']['name']}"
    if not rules:
        return f"{where} has no {'.'.join(dialect.at)}, so there is nothing to weight."
    if names.part is not None and all(rule.get("name") != names.part for rule in rules):
        known = ", ".join(rule["name"] for rule in rules if "name" in rule) or "no names at all"
        return f"{where} has no rule named {names.part}; there are: {known}."
    meant = [rule for rule in rules if _is_meant(dialect, rule, names)]
    if not meant:
        rule = f"The rule {names.part} of {where}" if names.part else f"No rule of {where}"
        sends = "does not send" if names.part else "sends"
        return f"{rule} {sends} traffic to Service {names.service}."
    if any(not _has_room(dialect, route, index, names) for index in range(len(rules))):
        return f"The weights in {where} have no common divisor that leaves room for percents."
    return None


def _has_room(dialect: Dialect, route: Object, index: int, names: Names) -> bool:
    """Return whether every release in the rule can multiply the user's weights by 100."""
    rule, memory = dialect.rules(route)[index], _read_saved(route)
    if not _is_meant(dialect, rule, names):
        return True
    # Each release multiplies by 100. With a maximum of 1,000,000 that is three releases in a rule
    # of equal weights, and weights of 999 and 1,000 (no common divisor) leave room for one.
    releases = memory.in_flight(names)
    user = _user_rule(dialect, rule, releases.values(), memory.rules.get(str(index)))
    weights = _list_weights(dialect, user[dialect.refs])
    count = len({*_release_percents(dialect, rule, releases), names.target})
    factor: int = FULL_PERCENT**count
    return max(weights) // gcd(*weights) * factor <= dialect.max_weight


def _drops_zero_weight(dialect: Dialect, route: Object, names: Names) -> bool:
    rules = dialect.rules(route)
    return any(
        dialect.drops_zero_weight(route, rules[i]) for i in weighted_rules(dialect, route, names)
    )


def _user_split(dialect: Dialect, rule: Rule, names: Names) -> WeightSplit:
    return _read_split(dialect, rule, names).without_canary()


def _is_meant(dialect: Dialect, rule: Rule, names: Names) -> bool:
    """Return whether the rule is weighted: selected by name, and sending traffic to the Service."""
    if names.part is not None and rule.get("name") != names.part:
        return False
    return sum(_user_split(dialect, rule, names).stable) > 0


def _sort_backends(dialect: Dialect, rule: Rule, names: Names) -> _Backends:
    parts = _Backends([], [], [])
    for ref in rule.get(dialect.refs) or []:
        if dialect.sends_to(ref, names.service, names.namespace):
            parts.stable.append(ref)
        elif dialect.sends_to(ref, names.canary_service, names.namespace):
            parts.canary.append(ref)
        else:
            parts.others.append(ref)
    return parts


def _read_split(dialect: Dialect, rule: Rule, names: Names) -> WeightSplit:
    parts, refs = _sort_backends(dialect, rule, names), rule.get(dialect.refs) or []

    def weights(of: Iterable[Ref]) -> tuple[int, ...]:
        return tuple(dialect.weight(ref, refs) for ref in of)

    return WeightSplit(weights(parts.stable), weights(parts.canary), weights(parts.others))


def _release_percents(
    dialect: Dialect, rule: Rule, releases: Mapping[str, Names]
) -> dict[str, int]:
    """Return the percentage of each release with a canary in the rule, in order of backends."""
    targets = {names.canary_service: target for target, names in releases.items()}
    found = dict[str, int]()
    for ref in rule.get(dialect.refs) or []:
        for service, target in targets.items():
            if dialect.sends_to(ref, service, releases[target].namespace):
                found[target] = _read_split(dialect, rule, releases[target]).percent
    return found


def _apply_releases(
    dialect: Dialect, route: Object, rule: Rule, wanted: Iterable[tuple[Names, int]]
) -> Rule:
    """Add these releases to the user's rule one by one; minimal weights come last."""
    releases = list(wanted)
    for names, percent in releases:
        added = [
            dialect.canary_backend(ref, names)
            for ref in _sort_backends(dialect, rule, names).stable
        ]
        share = _read_split(dialect, rule, names).with_percent(percent)
        rule = _with_split(
            dialect, {**rule, dialect.refs: [*rule[dialect.refs], *added]}, names, share
        )
    # Minimal weights scale the whole rule up to the maximum, after which there is no room for
    # another factor of 100. Therefore all percentages have to be written before.
    for names, _ in releases if dialect.drops_zero_weight(route, rule) else ():
        share = _read_split(dialect, rule, names).with_trace(dialect.max_weight)
        rule = _with_split(dialect, rule, names, share)
    return rule


def _with_split(dialect: Dialect, rule: Rule, names: Names, share: WeightSplit) -> Rule:
    """Return the same backends in the same order with the weights of `share`."""
    parts = _sort_backends(dialect, rule, names)
    stable, canary, others = iter(share.stable), iter(share.canary), iter(share.others)
    refs = []
    for ref in rule[dialect.refs]:
        weights = stable if ref in parts.stable else canary if ref in parts.canary else others
        refs.append({**ref, "weight": next(weights)})
    return {**rule, dialect.refs: refs}


def _user_rule(
    dialect: Dialect, rule: Rule, releases: Iterable[Names], before: Weights | None
) -> Rule:
    """Return the rule as the user wrote it, without any of these releases.

    The saved weights are valid if each of the user's backends, together with its canary, still gets
    the same part of the whole: then nobody changed more than the split between the versions.
    """
    # `even`: a release has as many canary backends as the Service has. Otherwise somebody added or
    # removed one, and it is not known which of the saved weights belongs to which backend.
    even = True
    for names in releases:
        parts = _sort_backends(dialect, rule, names)
        if parts.canary:
            even = even and len(parts.canary) == len(parts.stable)
            share = _user_split(dialect, rule, names)
            kept = [ref for ref in rule[dialect.refs] if ref not in parts.canary]
            rule = _with_split(dialect, {**rule, dialect.refs: kept}, names, share)
    refs = rule[dialect.refs]
    if before is None or not even or len(before) != len(refs):
        return rule
    remembered = [_with_weight_field(ref, weight) for ref, weight in zip(refs, before, strict=True)]
    # Compared as fractions without division: 95:5 of 100 and 1900:100 of 2000 are the same part.
    now, then = _list_weights(dialect, refs), _list_weights(dialect, remembered)
    same = all(a * sum(then) == b * sum(now) for a, b in zip(now, then, strict=True))
    return {**rule, dialect.refs: remembered} if same else rule


def _list_weights(dialect: Dialect, refs: list[Ref]) -> list[int]:
    return [dialect.weight(ref, refs) for ref in refs]


def _with_weight_field(ref: Ref, weight: int | None) -> Ref:
    if weight is None:
        return {key: value for key, value in ref.items() if key != "weight"}
    return {**ref, "weight": weight}


def _annotations_of(route: Object) -> Mapping[str, str]:
    return route["metadata"].get("annotations") or {}


def _read_saved(route: Object) -> _SavedWeights:
    """Read the annotation; empty if it cannot be parsed."""
    # The annotation may have been edited by hand. Whatever cannot be read is as if nothing had been
    # saved: the route then keeps the weights that it has, instead of no release working at all.
    try:
        noted: Any = json.loads(_annotations_of(route).get(SAVED_WEIGHTS, "{}"))
    except (ValueError, RecursionError):
        return _SavedWeights()
    if not isinstance(noted, dict):
        return _SavedWeights()
    releases, rules = noted.get("releases"), noted.get("rules")
    return _SavedWeights(
        {k: v for k, v in releases.items() if isinstance(v, str)}
        if isinstance(releases, dict)
        else {},
        {k: v for k, v in rules.items() if _are_weights(v)} if isinstance(rules, dict) else {},
    )


def _are_weights(weights: object) -> bool:
    return isinstance(weights, list) and all(
        weight is None or (isinstance(weight, int) and weight >= 0) for weight in weights
    )


def _save_weights(route: Object, memory: _SavedWeights) -> Object:
    """Return the route with this annotation, or without it if no release is in flight."""
    notes = {key: value for key, value in _annotations_of(route).items() if key != SAVED_WEIGHTS}
    if memory.releases:
        noted = {"releases": dict(memory.releases), "rules": dict(memory.rules)}
        notes[SAVED_WEIGHTS] = json.dumps(noted, separators=(",", ":"))
    metadata = {key: value for key, value in route["metadata"].items() if key != "annotations"}
    if notes:
        metadata = {**route["metadata"], "annotations": notes}
    return {**route, "metadata": metadata}
