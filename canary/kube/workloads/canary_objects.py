"""Builds the canary's Deployment and Service from the user's."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from canary.kube.objects import DEPLOYMENTS, SERVICES, Object
from canary.kube.workloads.names import (
    MANAGED_BY,
    MANAGER,
    ROLE,
    TEMPLATE,
    labels_of,
    owner_references,
)
from canary.kube.workloads.template import canary_template

CANARY_LABELS = {MANAGED_BY: MANAGER, ROLE: "canary"}
_SPEC_KEPT = ("minReadySeconds", "progressDeadlineSeconds")
_SERVICE_KEPT = (
    "sessionAffinity",
    "sessionAffinityConfig",
    "ipFamilyPolicy",
    "ipFamilies",
    "internalTrafficPolicy",
    "trafficDistribution",
)


def canary_deployment(
    name: str, release: Object, target: Object, replaced: Mapping[str, str], template: str
) -> Object:
    """Build the canary with 0 replicas from the target's template, whose hash is `template`."""
    spec = target["spec"]
    kept = {key: spec[key] for key in _SPEC_KEPT if key in spec}
    return {
        "apiVersion": DEPLOYMENTS.api_version,
        "kind": DEPLOYMENTS.kind,
        "metadata": {
            "name": name,
            "namespace": target["metadata"]["namespace"],
            # The user's labels: admission policies may require a team or a cost center. GitOps
            # tools do not prune objects by them, because the CanaryRelease owns the canary.
            "labels": {**labels_of(target), **replaced, **CANARY_LABELS},
            "annotations": {TEMPLATE: template},
            "ownerReferences": owner_references(release),
        },
        "spec": {
            **kept,
            "replicas": 0,
            "revisionHistoryLimit": 0,
            "selector": _replace_in_selector(spec["selector"], replaced),
            "template": canary_template(spec["template"], replaced),
        },
    }


def _replace_in_selector(selector: Object, replaced: Mapping[str, str]) -> Object:
    """Return the user's selector with the canary's label values."""
    made: Object = {
        "matchLabels": {**(selector.get("matchLabels") or {}), **replaced, ROLE: "canary"}
    }
    expressions = selector.get("matchExpressions") or []
    kept = [one for one in expressions if one["key"] not in replaced]
    return made | ({"matchExpressions": deepcopy(kept)} if kept else {})


def canary_ports(service: Mapping[str, Any]) -> list[Object]:
    """Return the ports of the user's Service without node ports, which can be used only once.

    A headless Service, or one of type ExternalName, may have none.
    """
    ports: list[Object] = service["spec"].get("ports") or []
    return [{key: value for key, value in one.items() if key != "nodePort"} for one in ports]


def canary_service(name: str, release: Object, service: Object, canary: Object) -> Object:
    """Build the Service of the canary: the ports of the user's, without its addresses.

    Its selector includes the canary Deployment's selector, because two Deployments behind one
    Service may have canaries at the same time. Labels are kept, because ServiceMonitors select by
    them. Annotations are not, because they create load balancers and DNS names.
    """
    spec = service["spec"]
    pods = labels_of(canary["spec"]["template"])
    selector = {key: pods.get(key, value) for key, value in spec["selector"].items()}
    own = canary["spec"]["selector"]["matchLabels"]
    kept = {key: deepcopy(spec[key]) for key in _SERVICE_KEPT if key in spec}
    return {
        "apiVersion": SERVICES.api_version,
        "kind": SERVICES.kind,
        "metadata": {
            "name": name,
            "namespace": service["metadata"]["namespace"],
            "labels": {**labels_of(service), **CANARY_LABELS},
            "ownerReferences": owner_references(release),
        },
        "spec": {**kept, "ports": canary_ports(service), "selector": {**selector, **own}},
    }
