"""The auth service on the cluster, as a team would write its manifests: one version, one switch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from canary.kube.objects import Object
from e2e.harness.kubectl import get

NAME = "auth"
PORT = 8080
IMAGE = os.environ.get("CANARY_E2E_AUTH_IMAGE", "localhost/canary-auth:lab")

RESTRICTED: Mapping[str, object] = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
LOCKED: Mapping[str, object] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, slots=True)
class AuthService:
    """One version of the service. `flaw` is a switch of canary.demo.auth.versions."""

    label: str = "v1"
    """What X-Version says, and what makes two good templates differ."""
    flaw: str = "good"
    replicas: int = 3
    abrupt: bool = False
    """Exits at once on SIGTERM."""
    ready: bool = True
    """Otherwise its readiness is asked at a path that it does not have."""
    leak_every: int = 100
    drain: bool = False
    """Sleeps before it ends, so that routers have let go of it."""
    slow_start: int = 0
    """Seconds before its readiness is asked for the first time."""
    grace: int = 15
    """terminationGracePeriodSeconds."""
    cpu: str = "100m"
    image: str = IMAGE
    port_name: str = "http"
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the pods, beside `app`."""
    team: Mapping[str, str] = field(default_factory=dict)
    """Labels of the Deployment itself."""

    def next(self, label: str, flaw: str = "good", *, ready: bool = True) -> "AuthService":
        """The version that is shipped after this one."""
        return replace(self, label=label, flaw=flaw, ready=ready)

    def deployment(self, namespace: str) -> Object:
        """Its Deployment."""
        labels = {"app": NAME}
        template = {
            "metadata": {
                "labels": {**labels, **self.labels},
                "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)},
            },
            "spec": {
                "terminationGracePeriodSeconds": self.grace,
                "securityContext": dict(RESTRICTED),
                "automountServiceAccountToken": False,
                "containers": [self._container()],
            },
        }
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME, "namespace": namespace, "labels": dict(self.team)},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": labels},
                "strategy": rolling,
                "template": template,
            },
        }

    def _container(self) -> Object:
        path = "/healthz" if self.ready else "/there-is-no-such-page"
        switches = {
            "--host": "0.0.0.0",  # noqa: S104 - a pod's own address
            "--port": PORT,
            "--dsn": database(),
            "--version": self.flaw,
            "--label": self.label,
            "--leak-every": self.leak_every,
            "--graceful": self.grace,
            # A busy test machine is no flaw.
            "--pool-max": 20,
            "--pool-timeout": 2,
        }
        words = [str(word) for pair in switches.items() for word in pair]
        return {
            "name": "auth",
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "args": [*words, "--instance", "$(POD)", *(["--abrupt"] if self.abrupt else [])],
            "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "ports": [{"name": self.port_name, "containerPort": PORT}],
            "readinessProbe": {
                "httpGet": {"path": path, "port": self.port_name},
                "initialDelaySeconds": self.slow_start,
                "periodSeconds": 1,
                "timeoutSeconds": 3,
            },
            "resources": {"requests": {"cpu": self.cpu, "memory": "64Mi"}},
            "securityContext": dict(LOCKED),
            **({"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}} if self.drain else {}),
        }


@cache
def database() -> str:
    """Where PostgreSQL is; by address, as slow names on a busy test machine are no flaw."""
    found = get("e2e-postgres", "service", "postgres")
    address = found["spec"]["clusterIP"] if found else "postgres.e2e-postgres"
    return f"host={address} user=auth dbname=auth connect_timeout=5"


def namespace(name: str) -> Object:
    """A namespace that takes only what follows the strictest Pod Security Standard."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "canary-e2e": "true"}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }


def service(namespace: str) -> Object:
    """What the service's clients call."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "selector": {"app": NAME},
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    }


def route(namespace: str) -> Object:
    """The way in, without weights, as most people write it; the Gateway is `lab/lab` or $GATEWAY."""
    gateway_namespace, gateway = os.environ.get("GATEWAY", "lab/lab").split("/")
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": gateway, "namespace": gateway_namespace}],
            "hostnames": [host(namespace)],
            "rules": [{"backendRefs": [{"name": NAME, "port": PORT}]}],
        },
    }


def filtered(namespace: str) -> Object:
    """The way in with a filter on its backend, by which Envoy Gateway gives each a cluster."""
    made = route(namespace)
    remove = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-none"]}}
    made["spec"]["rules"][0]["backendRefs"][0]["filters"] = [remove]
    return made


def host(namespace: str) -> str:
    """The host name of a namespace's service."""
    return f"{namespace}.example"
