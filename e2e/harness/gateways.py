"""Who routes the releases: a Gateway API implementation, its tests, and where its figures go."""

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from e2e.harness.kubectl import KubectlError, get


class NoGatewayError(RuntimeError):
    """The one that was asked for is not there; the message says which."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """One implementation; `tests` None: those of the main run."""

    marker: str
    """Of the figures in docs/benchmarks.md."""
    tests: str | None = None
    name: str | None = None
    """NAMESPACE/NAME of its Gateway; None: as the environment says."""


GATEWAYS: Mapping[str, Gateway] = {
    "traefik": Gateway("e2e"),
    "envoy": Gateway("e2e-envoy", "e2e/test_envoy.py", "lab/envoy"),
}


def choose(name: str, environment: MutableMapping[str, str] = os.environ) -> Gateway:
    """Routes and requests of this process and its children go by way of that implementation.

    ENVOY_GATEWAY and ENVOY_GATEWAY_URL say where it is, if that is neither `lab/envoy` nor the
    first address and listener of its Gateway.

    Raises:
        NoGatewayError: the cluster has no such Gateway, or it has no address yet.
    """
    chosen = GATEWAYS[name]
    if chosen.name is not None:
        where = environment.get(f"{name.upper()}_GATEWAY", chosen.name)
        url = environment.get(f"{name.upper()}_GATEWAY_URL") or _url(where)
        environment.update({"CANARY_E2E_GATEWAY": name, "GATEWAY": where, "GATEWAY_URL": url})
        environment.pop("ROUTER_METRICS_URL", None)  # the other one's
    return chosen


def _url(where: str) -> str:
    namespace, _, name = where.partition("/")
    if not (namespace and name):
        raise NoGatewayError(f"a Gateway is NAMESPACE/NAME, not {where!r}")
    try:
        found = get(namespace, "gateways.gateway.networking.k8s.io", name) or {}
    except KubectlError as error:
        raise NoGatewayError(f"Gateway {where}: {str(error).splitlines()[-1]}") from error
    addresses = found.get("status", {}).get("addresses") or ()
    if not addresses:
        raise NoGatewayError(f"no Gateway {where} with an address in the cluster: docs/e2e.md")
    return f"http://{addresses[0]['value']}:{found['spec']['listeners'][0]['port']}"
