"""Pod templates: comparison, hash, and the canary's template from the user's."""

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from canary.kube.objects import Object
from canary.kube.workloads.names import RESTARTED_AT, ROLE

POD_TEMPLATE_HASH = "pod-template-hash"
"""The label that the Deployment controller adds to the template of a ReplicaSet."""
DRAIN_SECONDS = 5
"""Seconds for which a canary pod continues to serve after its termination has begun."""
GRACE_SECONDS = 30
"""Kubernetes' default of terminationGracePeriodSeconds."""


def users_template(template: Mapping[str, Any]) -> Object:
    """Return a copy of a ReplicaSet's template as the Deployment had it."""
    return deepcopy(_as_written(template))


def _as_written(template: Mapping[str, Any]) -> Object:
    """Return the same as a shallow copy, for comparisons and hashes, which are frequent.

    Its metadata is a copy of its own; everything below is shared and must not be modified.
    """
    metadata = dict(template.get("metadata") or {})
    # Older API servers print `creationTimestamp: null` here, newer ones do not.
    metadata.pop("creationTimestamp", None)
    if POD_TEMPLATE_HASH in (metadata.get("labels") or {}):
        kept = {k: v for k, v in metadata["labels"].items() if k != POD_TEMPLATE_HASH}
        metadata["labels"] = kept
    return {**template, "metadata": metadata}


def same_template(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two templates, of Deployments or ReplicaSets, create the same pods."""
    return _as_written(one) == _as_written(other)


def without_restart(template: Mapping[str, Any]) -> Object:
    """Return the template without the annotation of `kubectl rollout restart`.

    The result shares what it contains with the template: see `_as_written`.
    """
    made = _as_written(template)
    notes = made["metadata"].get("annotations") or {}
    kept = {key: value for key, value in notes.items() if key != RESTARTED_AT}
    return {**made, "metadata": {**made["metadata"], "annotations": kept}}


def template_hash(template: Mapping[str, Any]) -> str:
    """Return this project's hash of a template: 12 hex digits, not the pod-template-hash.

    Every field counts, so `kubectl rollout restart` gives a new hash. The hash also changes when a
    newer API server adds a default, so the stable template is recognized by its ReplicaSet instead.
    """
    text = json.dumps(_as_written(template), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def canary_value(value: str) -> str:
    """Return the label value of canary pods: `auth` → `auth-canary`, at most 63 characters."""
    return f"{value[:56].rstrip('-_.')}-canary".lstrip("-")


def canary_template(template: Mapping[str, Any], replaced: Mapping[str, str]) -> Object:
    """Return the user's template with the `replaced` labels, the role label and a drain time."""
    made = users_template(template)
    metadata = made["metadata"]
    metadata["labels"] = {**(metadata.get("labels") or {}), **replaced, ROLE: "canary"}
    _add_drain(made["spec"])
    return made


def _add_drain(spec: Object) -> None:
    """Add a preStop sleep to containers without a hook, while routers remove their endpoints."""
    abrupt = [one for one in spec["containers"] if "preStop" not in (one.get("lifecycle") or {})]
    for container in abrupt:
        hook = {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}}
        container["lifecycle"] = {**(container.get("lifecycle") or {}), **hook}
    if abrupt:
        # The hook counts towards the grace period, which is extended by as much.
        grace = spec.get("terminationGracePeriodSeconds")
        spec["terminationGracePeriodSeconds"] = (
            GRACE_SECONDS if grace is None else int(grace)
        ) + DRAIN_SECONDS
