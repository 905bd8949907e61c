"""Dialect of Traefik: sets weights in a TraefikService, to which the user's IngressRoutes point.

It has no status, so a weight counts as confirmed once it is written; Traefik gets the propagation
delay (`traffic.propagationDelay`) to apply it.
"""

from collections.abc import Mapping

from canary.core.increments import Side
from canary.kube.objects import TRAEFIK_SERVICES, Object
from canary.routers.dialect import Dialect, Ref
from canary.routers.names import Names


def _sends_to(ref: Ref, service: str, namespace: str) -> bool:
    return (
        ref.get("name") == service
        and ref.get("kind", "Service") == "Service"
        and ref.get("namespace", namespace) == namespace
    )


def _canary_backend(ref: Ref, names: Names) -> Ref:
    return {**ref, "name": names.canary_service}


def _is_confirmed(_route: Object) -> bool:
    return True


def _metric_names(_route: Object, names: Names) -> Mapping[Side, str]:
    return {Side.STABLE: names.service, Side.CANARY: names.canary_service}


TRAEFIK_SERVICE = Dialect(
    kind=TRAEFIK_SERVICES,
    at=("spec", "weighted"),
    refs="services",
    sends_to=_sends_to,
    canary_backend=_canary_backend,
    confirmed=_is_confirmed,
    backends=_metric_names,
    max_weight=2**31 - 1,
)
