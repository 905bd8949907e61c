"""Context of all checks: the cluster, the namespace and the operator's defaults."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from canary.kube.objects import Kind, Objects
from canary.metrics.prometheus import PrometheusOptions


class DoctorClient(Objects, Protocol):
    """The methods of `canary.kube.client.Client` that checks use; creates only access reviews."""

    def served(self, kind: Kind) -> bool:
        """Return whether the cluster serves this kind in this version."""
        ...

    def version(self) -> tuple[int, int]:
        """Return major and minor version of the API server."""
        ...


@dataclass(frozen=True, slots=True)
class DoctorContext:
    """The cluster under diagnosis."""

    server: DoctorClient
    namespace: str
    """Namespace for which the caller's rights are checked."""
    scope: str
    """Namespace whose releases are checked; "" means all namespaces."""
    address: str
    """The API server's URL."""
    date: Callable[[], float | None]
    """Returns the API server's time (seconds since the epoch), or None if it sends no date."""
    defaults: "OperatorDefaults"
    prometheus: PrometheusOptions | None = None
    """None: use the operator's Prometheus."""


@dataclass(frozen=True, slots=True)
class OperatorDefaults:
    """Default values of the operator's options."""

    lease: str
    """Name of the Lease."""
    prometheus: str
    """URL of Prometheus."""
