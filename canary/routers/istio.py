"""Dialect of Istio: sets weights in the HTTP routes of a VirtualService.

A VirtualService has no status to rely on (it is off by default in Istio, and where
it is on it reports the distribution in percent), so a weight counts as confirmed once it is
written: the data plane only gets the propagation delay (`traffic.propagationDelay`). TCP and TLS
routes are not changed.
"""

from collections.abc import Mapping

from canary.core.increments import Side
from canary.kube.objects import VIRTUAL_SERVICES, Object
from canary.routers.dialect import Dialect, Ref
from canary.routers.names import Names

MAX_WEIGHT = 2**31 - 1
"""Largest weight: weights are 32-bit integers."""


def _host_suffix(host: str, service: str, namespace: str) -> str | None:
    """Return what follows the Service's name in this host; None if it is another Service.

    A Service may be written as `auth`, `auth.prod`, `auth.prod.svc` or with the cluster's domain.
    """
    name, dot, tail = host.partition(".")
    same_namespace = not dot or tail == namespace or tail.startswith(f"{namespace}.svc")
    return f"{dot}{tail}" if name == service and same_namespace else None


def _sends_to(ref: Ref, service: str, namespace: str) -> bool:
    host = ref.get("destination", {}).get("host", "")
    return _host_suffix(host, service, namespace) is not None


def _canary_backend(ref: Ref, names: Names) -> Ref:
    """Copy without the subset: subsets belong to the user's host, and a missing one causes 503."""
    destination = {key: value for key, value in ref["destination"].items() if key != "subset"}
    tail = _host_suffix(destination["host"], names.service, names.namespace) or ""
    return {**ref, "destination": {**destination, "host": f"{names.canary_service}{tail}"}}


def _is_confirmed(_route: Object) -> bool:
    return True


def _metric_names(_route: Object, names: Names) -> Mapping[Side, str]:
    return {Side.STABLE: names.target, Side.CANARY: names.canary_target}


VIRTUAL_SERVICE = Dialect(
    kind=VIRTUAL_SERVICES,
    at=("spec", "http"),
    refs="route",
    sends_to=_sends_to,
    canary_backend=_canary_backend,
    confirmed=_is_confirmed,
    backends=_metric_names,
    max_weight=MAX_WEIGHT,
    implicit_full_weight=True,
)
