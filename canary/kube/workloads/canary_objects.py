"""The canary's Deployment and Service, made from the user's."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from canary.api import Reason, Spec
from canary.core.snapshot import Obstacle
from canary.kube.objects import DEPLOYMENTS, SERVICES, Object
from canary.kube.workloads.names import (
    MANAGED_BY,
    MANAGER,
    ROLE,
    TEMPLATE,
    labels,
    owned_by,
)
from canary.kube.workloads.template import canary_template, canary_value

OURS = {MANAGED_BY: MANAGER, ROLE: "canary"}
_SPEC_KEPT = ("minReadySeconds", "progressDeadlineSeconds")
_SERVICE_KEPT = (
    "sessionAffinity",
    "sessionAffinityConfig",
    "ipFamilyPolicy",
    "ipFamilies",
    "internalTrafficPolicy",
    "trafficDistribution",
)


def not_isolated(spec: Spec, service: Object, template: Mapping[str, Any]) -> Obstacle | None:
    """Why canary pods could not be kept apart from stable ones; None where they can."""
    name, selector = service["metadata"]["name"], service["spec"].get("selector") or {}
    wanted = spec.isolation.label if spec.isolation else None
    found = labels(template)
    missing = [key for key, value in selector.items() if found.get(key) != value]
    if not selector:
        message = f"Service {name} selects no pods, so a canary cannot be kept apart from stable."
    elif missing:
        message = f"Service {name} does not select the target's pods: label {missing[0]} differs."
    elif wanted is not None and wanted not in selector:
        keys = ", ".join(sorted(selector))
        message = f"isolation.label is {wanted}, but Service {name} selects on {keys}."
    else:
        return None
    return Obstacle(Reason.NOT_ISOLATED, message)


def replaced_labels(
    spec: Spec, service: Mapping[str, Any], target: Mapping[str, Any]
) -> dict[str, str]:
    """The labels that differ in canary pods, so that nothing of the user's counts them.

    One that the Service selects on (the first in alphabetical order unless the user named one);
    and, where autoscalers and the Deployment select on others only, the first of those. With the
    `replicas` router the Service has to find both.
    """
    if spec.traffic.replicas is not None:
        return {}
    selector = service["spec"].get("selector") or {}
    key = spec.isolation.label if spec.isolation else min(selector)
    matched = target["spec"]["selector"].get("matchLabels") or {}
    keys = {key} if key in matched or not matched else {key, min(matched)}
    found = labels(target["spec"]["template"])
    return {key: canary_value(found[key]) for key in sorted(keys)}


def canary_deployment(
    name: str, release: Object, target: Object, replaced: Mapping[str, str], template: str
) -> Object:
    """The canary of the target's present template, whose hash is `template`, with 0 replicas."""
    spec = target["spec"]
    kept = {key: spec[key] for key in _SPEC_KEPT if key in spec}
    return {
        "apiVersion": DEPLOYMENTS.api_version,
        "kind": DEPLOYMENTS.kind,
        "metadata": {
            "name": name,
            "namespace": target["metadata"]["namespace"],
            "labels": {**replaced, **OURS},
            "annotations": {TEMPLATE: template},
            "ownerReferences": owned_by(release),
        },
        "spec": {
            **kept,
            "replicas": 0,
            "revisionHistoryLimit": 0,
            "selector": _selector(spec["selector"], replaced),
            "template": canary_template(spec["template"], replaced),
        },
    }


def _selector(selector: Object, replaced: Mapping[str, str]) -> Object:
    """The user's own, as that is as narrow as it has to be, for the canary's labels."""
    made: Object = {
        "matchLabels": {**(selector.get("matchLabels") or {}), **replaced, ROLE: "canary"}
    }
    expressions = selector.get("matchExpressions") or []
    kept = [one for one in expressions if one["key"] not in replaced]
    return made | ({"matchExpressions": deepcopy(kept)} if kept else {})


def canary_ports(service: Mapping[str, Any]) -> list[Object]:
    """The ports of the user's Service, without the node ports that are taken by it."""
    ports: list[Object] = service["spec"]["ports"]
    return [{key: value for key, value in one.items() if key != "nodePort"} for one in ports]


def canary_service(
    name: str, release: Object, service: Object, replaced: Mapping[str, str]
) -> Object:
    """The user's Service for canary pods only: same ports, no address or node port taken over.

    Labels are kept, because that is how a ServiceMonitor finds it; annotations are not: they make
    load balancers and DNS names.
    """
    spec = service["spec"]
    selector = spec["selector"]
    own = {key: value for key, value in replaced.items() if key in selector}
    kept = {key: deepcopy(spec[key]) for key in _SERVICE_KEPT if key in spec}
    return {
        "apiVersion": SERVICES.api_version,
        "kind": SERVICES.kind,
        "metadata": {
            "name": name,
            "namespace": service["metadata"]["namespace"],
            "labels": {**labels(service), **OURS},
            "ownerReferences": owned_by(release),
        },
        "spec": {
            **kept,
            "ports": canary_ports(service),
            "selector": {**selector, **own, ROLE: "canary"},
        },
    }
