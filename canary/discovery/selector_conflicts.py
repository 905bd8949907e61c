"""Finds selectors that match stable pods but not canary pods. Pure.

Canary pods have another value of one label (isolation). NetworkPolicies, mesh policies, pod
monitors and affinities that select pods by this label would not apply to the canary.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from canary.discovery.label_selector import Labels, selector_keys, selector_matches
from canary.kube.objects import Kind, Object
from canary.kube.workloads.names import ROLE

Selectors = Iterator[tuple[str, Mapping[str, Any]]]
"""Pairs of a selector's purpose and its LabelSelector."""

NETWORK_POLICIES = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
SELECTING_KINDS: Sequence[Kind] = (
    NETWORK_POLICIES,
    Kind("security.istio.io", "v1", "authorizationpolicies", "AuthorizationPolicy"),
    Kind("security.istio.io", "v1", "peerauthentications", "PeerAuthentication"),
    Kind("security.istio.io", "v1", "requestauthentications", "RequestAuthentication"),
    Kind("networking.istio.io", "v1", "sidecars", "Sidecar"),
    Kind("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor"),
    Kind("policy.linkerd.io", "v1beta3", "servers", "Server"),
    Kind("cilium.io", "v2", "ciliumnetworkpolicies", "CiliumNetworkPolicy"),
)
"""Kinds that select pods by label and are checked."""


@dataclass(frozen=True, slots=True)
class CanaryLabels:
    """Labels of stable pods, and those that have another value in canary pods."""

    stable: Labels
    replaced: Labels

    @property
    def canary(self) -> Labels:
        """The labels of canary pods."""
        return {**self.stable, **self.replaced, ROLE: "canary"}

    def missed_by(self, selector: Mapping[str, Any]) -> bool:
        """Return whether the selector matches stable pods and not canary pods."""
        return selector_matches(selector, self.stable) and not selector_matches(
            selector, self.canary
        )


def find_conflicts(objects: Iterable[Object], labels: CanaryLabels) -> Iterator[str]:
    """Yield a sentence for each object that does not match canary pods."""
    kinds = {kind.kind for kind in SELECTING_KINDS}
    for one in objects:
        if one.get("kind") not in kinds:
            continue
        for purpose, selector in _pod_selectors(one):
            if labels.missed_by(selector):
                keys = sorted(selector_keys(selector) & labels.replaced.keys())
                yield _format_conflict(
                    f"{one['kind']} {one['metadata']['name']}", purpose, keys, labels
                )


def find_affinity_conflicts(template: Mapping[str, Any], labels: CanaryLabels) -> Iterator[str]:
    """Yield a sentence for each affinity of the target's pods that does not match canary pods."""
    spec = template.get("spec") or {}
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        for term in _affinity_terms(affinity.get(kind) or {}):
            if labels.missed_by(term.get("labelSelector") or {}):
                yield _format_conflict(f"the target's {kind}", "", sorted(labels.replaced), labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        if labels.missed_by(constraint.get("labelSelector") or {}):
            where = "the target's topologySpreadConstraints"
            yield _format_conflict(where, "", sorted(labels.replaced), labels)


def _format_conflict(who: str, purpose: str, keys: Sequence[str], labels: CanaryLabels) -> str:
    key = keys[0] if keys else min(labels.replaced)
    what = f"pods ({purpose})" if purpose else "pods"
    value = labels.replaced.get(key, "?")
    return f"{who} selects {what} by {key}: {labels.stable.get(key)}, and canary pods have {value}"


def _pod_selectors(one: Object) -> Selectors:
    spec = one.get("spec") or {}
    match one["kind"]:
        case "NetworkPolicy":
            yield from _network_policy_selectors(spec)
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


def _network_policy_selectors(spec: Mapping[str, Any]) -> Selectors:
    yield "", spec.get("podSelector") or {}
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(direction) or ():
            for peer in rule.get(side) or ():
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    yield f"{direction} {side}", peer["podSelector"] or {}


def _affinity_terms(affinity: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    for weighted in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
        yield weighted.get("podAffinityTerm") or {}
