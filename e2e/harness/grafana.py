"""Grafana with our dashboards, for people who try canary on a cluster: `make kind`."""

import json
from collections.abc import Mapping, Sequence

from canary.kube.objects import Object
from e2e.harness.auth import LOCKED, RESTRICTED, namespace
from e2e.harness.clusters import ROOT

NAMESPACE = "grafana"
IMAGE = "grafana/grafana:11.6.0"
"""The dashboards are in the schema of Grafana 11.6."""
_DASHBOARDS = ROOT / "manifests/monitoring/dashboards"
_PROVISIONING = "/etc/grafana/provisioning"
_LABELS = {"app": "grafana"}


def grafana(prometheus: str) -> Sequence[Object]:
    """Its objects; everybody who reaches it may look. `prometheus` is an address in the cluster."""
    source = {"name": "Prometheus", "type": "prometheus", "url": prometheus, "isDefault": True}
    provider = {"name": "canary", "type": "file", "options": {"path": "/dashboards"}}
    files = {path.name: path.read_text("utf-8") for path in sorted(_DASHBOARDS.glob("*.json"))}
    return (
        namespace(NAMESPACE),
        _config("datasources", {"prometheus.yaml": _provisioned("datasources", source)}),
        _config("providers", {"canary.yaml": _provisioned("providers", provider)}),
        _config("dashboards", files),
        _deployment(),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _meta("grafana"),
            "spec": {"selector": _LABELS, "ports": [{"name": "http", "port": 3000}]},
        },
    )


def _provisioned(kind: str, entry: Mapping[str, object]) -> str:
    """A file of Grafana's provisioning; JSON is YAML."""
    return json.dumps({"apiVersion": 1, kind: [entry]})


def _meta(name: str) -> dict[str, str]:
    return {"name": name, "namespace": NAMESPACE}


def _config(name: str, files: Mapping[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _meta(name),
        "data": dict(files),
    }


def _deployment() -> Object:
    places = {
        "datasources": f"{_PROVISIONING}/datasources",
        "providers": f"{_PROVISIONING}/dashboards",
        "dashboards": "/dashboards",
    }
    settings = {"GF_AUTH_ANONYMOUS_ENABLED": "true", "GF_ANALYTICS_REPORTING_ENABLED": "false",
                "GF_ANALYTICS_CHECK_FOR_UPDATES": "false"}  # fmt: skip
    container = {
        "name": "grafana",
        "image": IMAGE,
        "ports": [{"name": "http", "containerPort": 3000}],
        "env": [{"name": name, "value": value} for name, value in settings.items()],
        "readinessProbe": {"httpGet": {"path": "/api/health", "port": "http"}},
        "securityContext": dict(LOCKED),
        "volumeMounts": [
            *({"name": name, "mountPath": path} for name, path in places.items()),
            *({"name": "data", "mountPath": path} for path in ("/var/lib/grafana", "/tmp")),  # noqa: S108 - in the pod
        ],
    }
    volumes: list[Object] = [{"name": name, "configMap": {"name": name}} for name in places]
    spec = {
        "automountServiceAccountToken": False,
        "securityContext": {**RESTRICTED, "runAsUser": 472, "runAsGroup": 0, "fsGroup": 472},
        "containers": [container],
        "volumes": [*volumes, {"name": "data", "emptyDir": {}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta("grafana"),
        "spec": {
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": spec},
        },
    }
