"""Settings of `canary operator`, from flags and the environment."""

import os
import secrets
import socket
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

from canary.http.addresses import AddressRules, Network
from canary.kube.leases import LeaseName, LeaseTerms
from canary.metrics.exposition import PageLimits
from canary.metrics.options import PrometheusSources
from canary.metrics.own_queries import OwnQueries
from canary.metrics.query_api import PrometheusOptions
from canary.notify.config import NotifyFile
from canary.operator.controller import WORKERS
from canary.operator.pause_mode import POLICY, PauseModeOption

DEFAULT_PROMETHEUS = "http://prometheus.monitoring:9090"
DEFAULT_LEASE = "canary-controller"
NOTIFY_SECRETS = Path("/etc/canary/notify-secrets")
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """All settings, except logging and access to the API server."""

    namespaces: tuple[str, ...] = ()
    """Namespaces whose releases are reconciled; empty: all."""
    workers: int = WORKERS
    prometheus: PrometheusSources = field(
        default_factory=lambda: PrometheusSources(None, None, PrometheusOptions(DEFAULT_PROMETHEUS))
    )
    own_queries: OwnQueries = OwnQueries.ON
    """Rules for PromQL and selectors that users write."""
    router_metrics: str | None = None
    """URL of the router's own metrics page, for the source `scrape`."""
    hold: PauseModeOption = PauseModeOption.AUTO
    policy: str = POLICY
    lease: LeaseName | None = None
    """None: there is a single replica, without leader election."""
    terms: LeaseTerms = field(default_factory=LeaseTerms)
    addresses: AddressRules = field(default_factory=AddressRules)
    """Where checks, notifications and scrapes may go."""
    page: PageLimits = field(default_factory=PageLimits)
    notify_proxy: str | None = None
    instance: str = "canary"
    """Name of this instance in Events."""
    notify: NotifyFile = field(default_factory=NotifyFile)
    """Receivers for all releases, and the base URLs of the pages that messages link to."""
    notify_secrets: Path = NOTIFY_SECRETS
    """Directory where the Secrets of these receivers are mounted."""


def prometheus_rules(allowed: tuple[Network, ...]) -> AddressRules:
    """Return where a Prometheus of the administrator may be: not at a metadata service.

    A proxy that adds credentials often runs beside the operator, so loopback is allowed.
    """
    return AddressRules(allowed=(*allowed, ip_network("127.0.0.0/8"), ip_network("::1")))


def own_namespace() -> str:
    """Return the namespace of the pod of this process; `default` outside a pod."""
    named = os.environ.get("POD_NAMESPACE")
    if named:
        return named
    try:
        return _NAMESPACE_FILE.read_text(encoding="utf-8").strip() or "default"
    except OSError:
        return "default"


def own_name() -> str:
    """Return the name of the pod of this process, or of the machine."""
    return os.environ.get("POD_NAME") or socket.gethostname()


def lease_name(namespace: str | None, name: str) -> LeaseName:
    """Return the lease, with an identity that is unique to this process."""
    identity = f"{own_name()}_{secrets.token_hex(4)}"
    return LeaseName(namespace or own_namespace(), name, identity)
