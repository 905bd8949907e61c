"""The cluster that is examined, and what every check needs to know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from canary.kube.objects import Kind, Objects
from canary.metrics.prometheus import PrometheusOptions


class Server(Objects, Protocol):
    """What of `canary.kube.client.Client` a doctor uses; all that it creates are reviews."""

    def served(self, kind: Kind) -> bool:
        """Whether the cluster serves this kind in this version."""
        ...

    def version(self) -> tuple[int, int]:
        """The API server's version."""
        ...


@dataclass(frozen=True, slots=True)
class Patient:
    """One cluster."""

    server: Server
    namespace: str
    """Where the person works: rights are looked up there."""
    scope: str
    """Whose releases are looked at; "" means all namespaces."""
    address: str
    """The API server's URL."""
    date: Callable[[], float | None]
    """What the API server's clock says now (seconds since the epoch); None: it does not say."""
    usual: "Usual"
    prometheus: PrometheusOptions | None = None
    """None: the one that the operator is told to ask."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What an operator goes by that is told nothing else."""

    lease: str
    """Name of the Lease."""
    prometheus: str
    """URL."""
