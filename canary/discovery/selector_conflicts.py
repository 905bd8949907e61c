"""What misses canary pods because one of their labels has another value. Pure.

NetworkPolicies, meshes' policies and pod monitors select pods by labels; so do affinities.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from canary.discovery.label_selector import Labels, keys_of, selects
from canary.kube.objects import Kind, Object
from canary.kube.workloads.names import ROLE

Found = Iterator[tuple[str, Mapping[str, Any]]]
"""What a selector is for, and the selector as Kubernetes' LabelSelector."""

NETWORK_POLICIES = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
WATCHED: Sequence[Kind] = (
    NETWORK_POLICIES,
    Kind("security.istio.io", "v1", "authorizationpolicies", "AuthorizationPolicy"),
    Kind("security.istio.io", "v1", "peerauthentications", "PeerAuthentication"),
    Kind("security.istio.io", "v1", "requestauthentications", "RequestAuthentication"),
    Kind("networking.istio.io", "v1", "sidecars", "Sidecar"),
    Kind("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor"),
    Kind("policy.linkerd.io", "v1beta3", "servers", "Server"),
    Kind("cilium.io", "v2", "ciliumnetworkpolicies", "CiliumNetworkPolicy"),
)
"""Kinds that select pods by label, and are looked through."""


@dataclass(frozen=True, slots=True)
class Relabelled:
    """Labels of stable pods, and which of them have another value in canary pods."""

    stable: Labels
    replaced: Labels

    @property
    def canary(self) -> Labels:
        """Labels of canary pods."""
        return {**self.stable, **self.replaced, ROLE: "canary"}

    def missed_by(self, selector: Mapping[str, Any]) -> bool:
        """Selects stable pods, and not the canary's."""
        return selects(selector, self.stable) and not selects(selector, self.canary)


def missed(objects: Iterable[Object], labels: Relabelled) -> Iterator[str]:
    """A sentence for each object that misses canary pods; its namespace is the target's."""
    kinds = {kind.kind for kind in WATCHED}
    for one in objects:
        if one.get("kind") not in kinds:
            continue
        for purpose, selector in _selectors(one):
            if labels.missed_by(selector):
                keys = sorted(keys_of(selector) & labels.replaced.keys())
                yield _sentence(f"{one['kind']} {one['metadata']['name']}", purpose, keys, labels)


def missed_by_pods(template: Mapping[str, Any], labels: Relabelled) -> Iterator[str]:
    """The same for the affinities of the target's own pods."""
    spec = template.get("spec") or {}
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        for term in _terms(affinity.get(kind) or {}):
            if labels.missed_by(term.get("labelSelector") or {}):
                yield _sentence(f"the target's {kind}", "", sorted(labels.replaced), labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        if labels.missed_by(constraint.get("labelSelector") or {}):
            where = "the target's topologySpreadConstraints"
            yield _sentence(where, "", sorted(labels.replaced), labels)


def _sentence(who: str, purpose: str, keys: Sequence[str], labels: Relabelled) -> str:
    key = keys[0] if keys else min(labels.replaced)
    what = f"pods ({purpose})" if purpose else "pods"
    value = labels.replaced.get(key, "?")
    return f"{who} selects {what} by {key}: {labels.stable.get(key)}, and canary pods have {value}"


def _selectors(one: Object) -> Found:
    spec = one.get("spec") or {}
    match one["kind"]:
        case "NetworkPolicy":
            yield from _network(spec)
        case "PodMonitor":
            yield "", spec.get("selector") or {}
        case "Server":
            yield "", spec.get("podSelector") or {}
        case "CiliumNetworkPolicy":
            yield "", spec.get("endpointSelector") or {}
        case "Sidecar":
            yield "", {"matchLabels": (spec.get("workloadSelector") or {}).get("labels") or {}}
        case _:
            yield "", {"matchLabels": (spec.get("selector") or {}).get("matchLabels") or {}}


def _network(spec: Mapping[str, Any]) -> Found:
    yield "", spec.get("podSelector") or {}
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(direction) or ():
            for peer in rule.get(side) or ():
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    yield f"{direction} {side}", peer["podSelector"] or {}


def _terms(affinity: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    for weighted in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
        yield weighted.get("podAffinityTerm") or {}
