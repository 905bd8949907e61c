"""Pod templates: their hash, the one that a ReplicaSet keeps, and the canary's from the user's."""

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from canary.kube.objects import Object
from canary.kube.workloads.names import RESTARTED_AT, ROLE

POD_TEMPLATE_HASH = "pod-template-hash"
"""The one label that the Deployment controller adds to a ReplicaSet's template."""
DRAIN_SECONDS = 5
"""How long a canary pod goes on serving after its end was announced."""
GRACE_SECONDS = 30
"""Kubernetes' default of terminationGracePeriodSeconds."""


def users_template(template: Mapping[str, Any]) -> Object:
    """A copy of a ReplicaSet's template as the Deployment had it."""
    return deepcopy(_as_written(template))


def _as_written(template: Mapping[str, Any]) -> Object:
    """The same without a copy of what is inside: to compare and to hash, many times in a pass."""
    metadata = dict(template.get("metadata") or {})
    # Older API servers print `creationTimestamp: null` here, newer ones do not.
    metadata.pop("creationTimestamp", None)
    if POD_TEMPLATE_HASH in (metadata.get("labels") or {}):
        kept = {k: v for k, v in metadata["labels"].items() if k != POD_TEMPLATE_HASH}
        metadata["labels"] = kept
    return {**template, "metadata": metadata}


def same_template(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two templates, of Deployments or ReplicaSets, make the same pods."""
    return _as_written(one) == _as_written(other)


def without_restart(template: Mapping[str, Any]) -> Object:
    """The user's template without the annotation of a restart: what the pods would be anyway."""
    made = users_template(template)
    notes = made["metadata"].get("annotations") or {}
    kept = {key: value for key, value in notes.items() if key != RESTARTED_AT}
    made["metadata"] = {**made["metadata"], "annotations": kept}
    return made


def template_hash(template: Mapping[str, Any]) -> str:
    """Our name of the user's template: 12 hex digits, not Kubernetes' pod-template-hash.

    Every field counts, so `kubectl rollout restart` makes a new one. It changes when a newer API
    server adds a default: what is long-lived (stable) is recognised by its ReplicaSet instead.
    """
    text = json.dumps(_as_written(template), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def canary_value(value: str) -> str:
    """A label value that nobody selects on yet: `auth` → `auth-canary`, at most 63 characters."""
    return f"{value[:56].rstrip('-_.')}-canary".lstrip("-")


def canary_template(template: Mapping[str, Any], replaced: Mapping[str, str]) -> Object:
    """The user's template with the labels in `replaced`, its role, and time to drain."""
    made = users_template(template)
    metadata = made["metadata"]
    metadata["labels"] = {**(metadata.get("labels") or {}), **replaced, ROLE: "canary"}
    _add_drain(made["spec"])
    return made


def _add_drain(spec: Object) -> None:
    """Containers without a preStop hook of their own go on serving while routers let go of them."""
    abrupt = [one for one in spec["containers"] if "preStop" not in (one.get("lifecycle") or {})]
    for container in abrupt:
        hook = {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}}
        container["lifecycle"] = {**(container.get("lifecycle") or {}), **hook}
    if abrupt:
        # The hook counts towards the grace period: the application keeps what the user gave it.
        grace = spec.get("terminationGracePeriodSeconds")
        spec["terminationGracePeriodSeconds"] = (
            GRACE_SECONDS if grace is None else int(grace)
        ) + DRAIN_SECONDS
