"""The CanaryRelease of the tests, and what people do to it."""

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from canary.kube.objects import RELEASES, Object
from e2e.harness.auth import NAME, route

GROUP = RELEASES.group
KIND = f"{RELEASES.plural}.{GROUP}"
ERRORS: Object = {"name": "errors", "ratio": {"preset": "traefik"}}
ERRORS_BY_POD: Object = {"name": "errors", "ratio": {"preset": "http"}}
"""As the application counts them: for routers whose own metrics do not tell the sides apart."""
REFUSED: Object = {"name": "refused", "clientErrors": {"preset": "traefik"}}
SLOW: Object = {"name": "slow", "latency": {"preset": "http", "above": "500ms"}}
POOL: Object = {
    "name": "pool",
    "pool": {"preset": "psycopg-pool"},
    "limit": 0.75,
    "leak": {"connections": 3, "window": "20s"},
}


@dataclass(frozen=True, slots=True)
class ReleaseManifest:
    """A CanaryRelease in short: its times are short, so that a test takes a minute, not hours.

    Beside each stands what a real one has by default.
    """

    weights: Sequence[int] = (5, 20, 50)
    hold: str = "10s"  # 2m
    settle: str = "2s"  # 5s
    interval: str = "1s"  # 10s
    warm_up: str = "5s"  # 60s
    minimum: str = "30s"  # 20m
    incident: str = "30s"  # the default
    patience: str = "60s"  # 10m
    progress_deadline: str = "60s"  # 10m
    deadline: str = "10m"  # 2h
    bake: str = "0s"
    source: str = "prometheus"
    smallest_regression: float = 0.02  # 0.005
    approval: bool = False
    """Whether the last step waits for a person."""
    # A slow answer is a fault of the test machine as well: only the test of slowness asks for it.
    metrics: Sequence[Object] = field(default=(ERRORS, POOL))
    route: Callable[[str], Object] = route
    """What it weights, by namespace."""

    def manifest(self, namespace: str) -> Object:
        """As it is applied."""
        steps: list[Object] = [{"weight": weight, "duration": self.hold} for weight in self.weights]
        steps[-1]["approval"] = self.approval
        return {
            "apiVersion": RELEASES.api_version,
            "kind": RELEASES.kind,
            "metadata": {"name": NAME, "namespace": namespace},
            "spec": {
                "target": {"name": NAME},
                "traffic": {"gatewayAPI": {"name": NAME}, "propagationDelay": self.settle},
                "steps": steps,
                "bake": self.bake,
                "deadline": self.deadline,
                "progressDeadline": self.progress_deadline,
                "analysis": self._analysis(),
            },
        }

    def _analysis(self) -> Object:
        return {
            "source": self.source,
            "interval": self.interval,
            "warmUp": self.warm_up,
            "minDuration": self.minimum,
            "toleratedIncident": self.incident,
            "noDataTimeout": self.patience,
            "smallestRegression": self.smallest_regression,
            "metrics": list(self.metrics),
        }


def request(verb: str, **details: str) -> str:
    """The annotation by which a person asks for something."""
    asked = {"verb": verb, "id": secrets.token_hex(4), **details}
    return f"{GROUP}/request={json.dumps(asked)}"
