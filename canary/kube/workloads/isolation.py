"""Chooses the labels of canary pods that get other values, so that no Service selects them. Pure.

Example: the pods of Deployment `api` have `app: api, tier: backend`. Service `api` selects
`app: api` and Service `backend` selects `tier: backend`. The canary's pods get
`app: api-canary` and `tier: backend-canary`. Neither Service selects them; the operator's own
Service `api-canary` does.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from canary.api import Reason, Spec
from canary.core.snapshot import Obstacle
from canary.kube.objects import Object
from canary.kube.workloads.names import ROLE, labels_of
from canary.kube.workloads.template import canary_value

Labels = Mapping[str, str]

_SWITCHES = frozenset({"true", "false", "enabled", "disabled"})
_PLATFORM = ("istio.io", "linkerd.io")


def canary_labels(template: Mapping[str, object], replaced: Labels) -> dict[str, str]:
    """Return the labels of canary pods made from this template."""
    return {**labels_of(template), **replaced, ROLE: "canary"}


def selecting_services(services: Iterable[Object], target: str, pods: Labels) -> dict[str, Labels]:
    """Return name and selector of each Service, except the canary's own, that selects such pods."""
    return {
        service["metadata"]["name"]: service["spec"]["selector"]
        for service in services
        if service["metadata"]["name"] != f"{target}-canary"
        and service["spec"].get("type") != "ExternalName"
        and (selector := service["spec"].get("selector"))
        and selector.items() <= pods.items()
    }


def replaced_labels(
    spec: Spec, service: Object, services: Sequence[Object], target: Object
) -> dict[str, str] | Obstacle:
    """Return the labels that differ in canary pods, or why canary pods cannot be isolated.

    With the `replicas` router none differs: the user's Service has to select both versions.

    Args:
        spec: the release's spec; `isolation.labels` in it names exactly the labels to replace.
        service: the user's Service.
        services: all Services of the namespace.
        target: the user's Deployment.
    """
    if (message := _why_not_isolated(service, labels_of(target["spec"]["template"]))) is not None:
        return Obstacle(Reason.NOT_ISOLATED, message)
    if spec.traffic.replicas is not None:
        return {}
    chosen = spec.isolation.labels if spec.isolation else ()
    return choose_replacements(target, services, chosen)


def choose_replacements(
    target: Object, services: Sequence[Object], chosen: Sequence[str] = ()
) -> dict[str, str] | Obstacle:
    """Return the fewest replaced labels, found greedily, that no Service's selector matches.

    The Deployment's own selector counts as well, because autoscalers count pods by it. `chosen` are
    the labels to replace; with them no other label is replaced.
    """
    template = target["spec"]["template"]
    found = labels_of(template)
    if missing := [key for key in chosen if key not in found]:
        message = f"isolation.labels names {missing[0]}, which the target's pods do not have."
        return Obstacle(Reason.NOT_ISOLATED, message)
    replaced = {key: canary_value(found[key]) for key in chosen}
    while selecting := dict(_list_selectors(target, services, canary_labels(template, replaced))):
        usable = Counter(
            key
            for selector in selecting.values()
            for key in selector
            if not chosen and key not in replaced and _is_replaceable(key, found.get(key))
        )
        if not usable:
            return _build_obstacle(selecting, chosen)
        # The label in most selectors first; of several the first in alphabetical order.
        key = min(usable, key=lambda one: (-usable[one], one))
        replaced[key] = canary_value(found[key])
    return dict(sorted(replaced.items()))


def _why_not_isolated(service: Object, pods: Labels) -> str | None:
    name, selector = service["metadata"]["name"], service["spec"].get("selector") or {}
    missing = [key for key, value in selector.items() if pods.get(key) != value]
    if not selector:
        return f"Service {name} selects no pods, so its canary cannot be distinguished from stable."
    if missing:
        return f"Service {name} does not select the target's pods: label {missing[0]} differs."
    return None


def _list_selectors(
    target: Object, services: Sequence[Object], pods: Labels
) -> Iterator[tuple[str, Labels]]:
    name = target["metadata"]["name"]
    for service, selector in selecting_services(services, name, pods).items():
        yield f"Service {service}", selector
    own = target["spec"]["selector"].get("matchLabels") or {}
    if own and own.items() <= pods.items():
        yield f"The selector of Deployment {name}", own


def _is_replaceable(key: str, value: str | None) -> bool:
    """Return whether the label may change: not labels of a mesh, and no switches such as `true`."""
    domain = key.rpartition("/")[0]
    of_platform = any(domain == one or domain.endswith(f".{one}") for one in _PLATFORM)
    return value is not None and value not in _SWITCHES and not of_platform


def _build_obstacle(selecting: Mapping[str, Labels], chosen: Sequence[str]) -> Obstacle:
    who, selector = next(iter(selecting.items()))
    by = ", ".join(f"{key}: {value}" for key, value in sorted(selector.items()))
    remedy = (
        f"Expected one of these labels in isolation.labels, found {', '.join(chosen)}."
        if chosen
        else "None of these labels may differ in canary pods: add another one to the selector."
    )
    return Obstacle(Reason.NOT_ISOLATED, f"{who} would select canary pods by {by}. {remedy}")
