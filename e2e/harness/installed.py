"""The operator as users install it: manifests/, its image, its own rights; and its bad days."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from canary.kube.objects import Object
from e2e.harness.kubectl import apply, get, kubectl, not_ending, now, wait_for

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "canary-system"
NAME = "canary"
IMAGE = os.environ.get("CANARY_E2E_IMAGE", "localhost/canary:lab")
LEASE = "canary-controller"
_QUIET = 3.0


def install(namespaces: Sequence[str]) -> None:
    """Installs it for everything, or for these namespaces alone, and waits until it is ready.

    On a cluster that is shared with others (namespaces given) it holds nobody else's Deployments
    either.
    """
    not_ending(NAMESPACE)
    there = get(NAMESPACE, "deployment", NAME) is not None
    apply(*_objects("install.yaml", namespaces), options=("--server-side", "--force-conflicts"))
    apply(*_objects("hold/policy.yaml", namespaces))
    if there:  # its image may be another one of the same name
        kubectl("-n", NAMESPACE, "rollout", "restart", f"deployment/{NAME}")
    rolled_out()


def uninstall() -> None:
    """Everything goes, but for the definition of CanaryRelease, which others may use."""
    for path in ("operator", "hold"):
        for part in sorted((ROOT / "manifests" / path).glob("*.yaml")):
            if part.name != "kustomization.yaml":
                kubectl("delete", "--ignore-not-found", "--wait=false", "-f", str(part))


def rolled_out() -> None:
    """Waits until both replicas are ready."""
    status = ("rollout", "status", f"deployment/{NAME}", "--timeout=120s")
    kubectl("-n", NAMESPACE, *status)


def scale(replicas: int) -> None:
    """So many replicas from now on."""
    kubectl("-n", NAMESPACE, "scale", f"deployment/{NAME}", f"--replicas={replicas}")


def leader() -> str:
    """The pod that acts; empty while there is none."""
    path = "jsonpath={.spec.holderIdentity}"
    holder = kubectl("-n", NAMESPACE, "get", "lease", LEASE, "--ignore-not-found", "-o", path)
    return next((pod for pod in pods() if pod in holder), "")


def pods() -> list[str]:
    """The names of the operator's pods."""
    names = kubectl("-n", NAMESPACE, "get", "pods", "-o", "jsonpath={.items[*].metadata.name}")
    return names.split()


def metrics(pod: str) -> Iterator[Sample]:
    """What one of the operator's pods says of itself."""
    page = kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/metrics")
    for family in text_string_to_metric_families(page):
        yield from family.samples


def costs() -> dict[str, float]:
    """What the operator's pods have used so far, those of the lease left out.

    `writes` and `requests` to the API server (watches and leases not counted), `queries` to
    Prometheus, `passes` over releases, and seconds of CPU.
    """
    found = [sample for pod in pods() for sample in metrics(pod)]
    used = [
        one
        for one in found
        if one.name == "canary_api_rights_used_total"
        and one.labels["resource"] != "leases"
        and one.labels["verb"] != "watch"
    ]
    reading = {"get", "list"}
    return {
        "writes": sum(one.value for one in used if one.labels["verb"] not in reading),
        "requests": sum(one.value for one in used),
        "queries": sum(one.value for one in found if one.name == "canary_metric_queries_total"),
        "passes": sum(
            one.value for one in found if one.name == "canary_reconcile_duration_seconds_count"
        ),
        "cpu": sum(one.value for one in found if one.name == "process_cpu_seconds_total"),
    }


def kill(*names: str) -> None:
    """Ends pods without a moment to tidy up.

    Not while they start: kubelet 1.34 itself dies of a pod with resources that is taken away then.
    """
    wait_for("operator pods that have started", lambda: all(map(_started, names)), 60)
    at_once = ("--grace-period=0", "--force", "--wait=false")
    kubectl("-n", NAMESPACE, "delete", "pod", *names, *at_once)


def _started(name: str) -> bool:
    """Ready for some seconds, or gone."""
    pod = get(NAMESPACE, "pod", name)
    found = (pod or {}).get("status", {}).get("conditions", ())
    ready = next((one for one in found if one["type"] == "Ready"), None)
    if pod is None or ready is None or ready["status"] != "True":
        return pod is None
    return now() - datetime.fromisoformat(ready["lastTransitionTime"]).timestamp() > _QUIET


def kill_leader() -> None:
    """The replica that acts dies; the other one is there."""
    wait_for("a leader", lambda: bool(leader()), 30)
    kill(leader())


def _objects(path: str, namespaces: Sequence[str]) -> Iterator[Object]:
    for found in yaml.safe_load_all((ROOT / "manifests" / path).read_text("utf-8")):
        match found["kind"]:
            case "Deployment":
                _set(found["spec"]["template"]["spec"]["containers"][0], namespaces)
            case "NetworkPolicy":  # the port of our pods' metrics, as its comment asks
                found["spec"]["egress"][0]["ports"].append({"protocol": "TCP", "port": 8080})
            case "MutatingAdmissionPolicyBinding" if namespaces:
                ours = {"matchLabels": {"canary-e2e": "true"}}
                found["spec"]["matchResources"] = {"namespaceSelector": ours}
        yield found


def _set(container: Object, namespaces: Sequence[str]) -> None:
    """The image, where Prometheus and the router are, and which namespaces."""
    container["image"] = IMAGE
    address = os.environ.get("OPERATOR_PROMETHEUS_URL") or os.environ.get("PROMETHEUS_URL")
    settings = {
        "CANARY_PROMETHEUS_URL": address,
        "CANARY_ROUTER_METRICS_URL": os.environ.get("ROUTER_METRICS_URL"),
    }
    kept = [one for one in container["env"] if one["name"] not in settings]
    given = [{"name": name, "value": value} for name, value in settings.items() if value]
    container["env"] = [*kept, *given]
    container["args"] = [*container["args"], *(f"--namespace={name}" for name in namespaces)]
