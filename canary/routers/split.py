"""The pure part of every router: read the canary's share out of a route, write it in, undo it.

While a release runs, the route carries our backends and one annotation with the weights that the
user had written. Both come and go in the same write, so there is no moment at which one is there
without the other, whatever crashes. The annotation is a memory, not an authority: it counts only
where the rule still looks like what we made of it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from canary.kube.objects import Object
from canary.routers.dialect import Dialect, Ref, Rule
from canary.routers.names import Names
from canary.routers.shares import Share

MEMORY = "canary-controller.dev/weights-before"
"""Annotation: for each rule that we changed (its index), the user's weights; null: none written."""

Weights = list[int | None]


@dataclass(frozen=True, slots=True)
class _Parts:
    """The backends of one rule, sorted by whose they are; order is kept within each."""

    stable: list[Ref]
    canary: list[Ref]
    others: list[Ref]


def read_weight(dialect: Dialect, route: Object, names: Names) -> int:
    """Percent of the Service's traffic that the canary gets: of all rules, the largest."""
    rules = dialect.rules(route)
    return max((_share(dialect, rule, names).percent for rule in rules), default=0)


def with_weight(dialect: Dialect, route: Object, names: Names, weight: int) -> Object:
    """The route with that share (percent) for the canary in every rule that is meant.

    Raises ValueError where `problem` has something to say.
    """
    trouble = problem(dialect, route, names)
    if trouble is not None:
        raise ValueError(trouble)
    user = restored(dialect, route, names)
    rules, memory = dialect.rules(user), dict[str, Weights]()
    for index, rule in enumerate(rules):
        if _is_meant(dialect, rule, names):
            memory[str(index)] = [ref.get("weight") for ref in rule[dialect.refs]]
            traced = dialect.forgets(route, rule)
            rules[index] = _weighted(dialect, rule, names, weight, traced=traced)
    return _remember(dialect.with_rules(user, rules), json.dumps(memory, separators=(",", ":")))


def restored(dialect: Dialect, route: Object, names: Names) -> Object:
    """The route without anything of ours; what else changed since stays changed."""
    if not is_changed(dialect, route, names):
        return route
    memory = _memory(route)
    rules = [
        _restored(dialect, rule, names, memory.get(str(index)))
        for index, rule in enumerate(dialect.rules(route))
    ]
    return _remember(dialect.with_rules(route, rules) if rules else route, None)


def towards(dialect: Dialect, route: Object, names: Names, weight: int) -> Object:
    """The route to write now on the way to that weight; the same route: wait for the router.

    Where the router forgets backends of weight 0, the canary gets a trace first, so that the router
    knows it before requests are sent there.
    """
    wanted = with_weight(dialect, route, names, weight)
    if weight == 0 or read_weight(dialect, route, names) > 0 or not _forgets(dialect, route, names):
        return wanted
    trace = with_weight(dialect, route, names, 0)
    if dialect.rules(trace) != dialect.rules(route):
        return trace
    return wanted if dialect.confirmed(route) else route


def towards_rest(dialect: Dialect, route: Object, names: Names) -> Object:
    """The route to write now on the way back to the user's own: by way of a trace as well.

    It is enough that the router has seen the trace: a backend that is gone resolves no more.
    """
    if not (is_changed(dialect, route, names) and _forgets(dialect, route, names)):
        return restored(dialect, route, names)
    if read_weight(dialect, route, names) > 0:
        return with_weight(dialect, route, names, 0)
    return restored(dialect, route, names) if dialect.seen(route) else route


def is_changed(dialect: Dialect, route: Object, names: Names) -> bool:
    """Whether a backend or an annotation of ours is in the route."""
    parts = (_parts(dialect, rule, names) for rule in dialect.rules(route))
    return MEMORY in _annotations(route) or any(part.canary for part in parts)


def weighted_rules(dialect: Dialect, route: Object, names: Names) -> list[int]:
    """Indices of the rules that have our backend, or would get it."""
    rules = enumerate(dialect.rules(route))
    return [
        index
        for index, rule in rules
        if _parts(dialect, rule, names).canary or _is_meant(dialect, rule, names)
    ]


def problem(dialect: Dialect, route: Object, names: Names) -> str | None:
    """Why no weight can be written into this route, in a sentence; None: it can."""
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
    shares = [_user_share(dialect, rule, names) for rule in meant]
    if max(_heaviest(share.at(0)) for share in shares) > dialect.most:
        return f"The weights in {where} have no common divisor that leaves room for percents."
    return None


def _forgets(dialect: Dialect, route: Object, names: Names) -> bool:
    rules = dialect.rules(route)
    return any(dialect.forgets(route, rules[i]) for i in weighted_rules(dialect, route, names))


def _heaviest(share: Share) -> int:
    return max(*share.stable, *share.others, 0)


def _user_share(dialect: Dialect, rule: Rule, names: Names) -> Share:
    return _share(dialect, rule, names).without_canary()


def _is_meant(dialect: Dialect, rule: Rule, names: Names) -> bool:
    """Traffic that the Service does not get cannot be shared."""
    if names.part is not None and rule.get("name") != names.part:
        return False
    return sum(_user_share(dialect, rule, names).stable) > 0


def _parts(dialect: Dialect, rule: Rule, names: Names) -> _Parts:
    parts = _Parts([], [], [])
    for ref in rule.get(dialect.refs) or []:
        if dialect.sends_to(ref, names.service, names.namespace):
            parts.stable.append(ref)
        elif dialect.sends_to(ref, names.canary_service, names.namespace):
            parts.canary.append(ref)
        else:
            parts.others.append(ref)
    return parts


def _share(dialect: Dialect, rule: Rule, names: Names) -> Share:
    parts, refs = _parts(dialect, rule, names), rule.get(dialect.refs) or []

    def weights(of: Iterable[Ref]) -> tuple[int, ...]:
        return tuple(dialect.weight(ref, refs) for ref in of)

    return Share(weights(parts.stable), weights(parts.canary), weights(parts.others))


def _weighted(dialect: Dialect, rule: Rule, names: Names, weight: int, *, traced: bool) -> Rule:
    share = _share(dialect, rule, names).at(weight)
    share = share.traced(dialect.most) if traced else share
    stable, others = iter(share.stable), iter(share.others)
    refs = [
        {**ref, "weight": next(stable if _is_stable(dialect, ref, names) else others)}
        for ref in rule[dialect.refs]
    ]
    twins = [dialect.twin(ref, names) for ref in _parts(dialect, rule, names).stable]
    ours = [{**ref, "weight": w} for ref, w in zip(twins, share.canary, strict=True)]
    return {**rule, dialect.refs: [*refs, *ours]}


def _is_stable(dialect: Dialect, ref: Ref, names: Names) -> bool:
    return dialect.sends_to(ref, names.service, names.namespace)


def _restored(dialect: Dialect, rule: Rule, names: Names, before: Weights | None) -> Rule:
    parts = _parts(dialect, rule, names)
    if not parts.canary:
        return rule
    refs = [ref for ref in rule[dialect.refs] if ref not in parts.canary]
    if before is None or not _believable(dialect, rule, refs, names, before):
        before = _guessed(dialect, rule, refs, names)
    return {
        **rule,
        dialect.refs: [_with(ref, weight) for ref, weight in zip(refs, before, strict=True)],
    }


def _believable(
    dialect: Dialect, rule: Rule, refs: list[Ref], names: Names, before: Weights
) -> bool:
    """The memory fits if nobody touched what is not the split between the sides."""
    if len(before) != len(refs):
        return False
    as_it_was = [_with(ref, weight) for ref, weight in zip(refs, before, strict=True)]
    old = _share(dialect, {dialect.refs: as_it_was}, names)
    return _share(dialect, rule, names).came_from(old, dialect.most)


def _guessed(dialect: Dialect, rule: Rule, refs: list[Ref], names: Names) -> Weights:
    share = _user_share(dialect, rule, names)
    stable, others = iter(share.stable), iter(share.others)
    return [next(stable if _is_stable(dialect, ref, names) else others) for ref in refs]


def _with(ref: Ref, weight: int | None) -> Ref:
    if weight is None:
        return {key: value for key, value in ref.items() if key != "weight"}
    return {**ref, "weight": weight}


def _annotations(route: Object) -> Mapping[str, str]:
    return route["metadata"].get("annotations") or {}


def _memory(route: Object) -> dict[str, Weights]:
    """What we noted; nothing where somebody made it unreadable."""
    try:
        noted: Any = json.loads(_annotations(route).get(MEMORY, "{}"))
    except ValueError:
        return {}
    if not isinstance(noted, dict):
        return {}
    return {index: weights for index, weights in noted.items() if _are_weights(weights)}


def _are_weights(weights: object) -> bool:
    return isinstance(weights, list) and all(
        weight is None or (isinstance(weight, int) and weight >= 0) for weight in weights
    )


def _remember(route: Object, memory: str | None) -> Object:
    notes = {key: value for key, value in _annotations(route).items() if key != MEMORY}
    if memory is not None:
        notes[MEMORY] = memory
    metadata = {key: value for key, value in route["metadata"].items() if key != "annotations"}
    if notes:
        metadata = {**route["metadata"], "annotations": notes}
    return {**route, "metadata": metadata}
