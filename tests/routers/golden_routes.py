"""What the tests of routers share: golden files, wishes, and a short way to the pure functions."""

from pathlib import Path
from typing import Any

import yaml

from canary.api import Spec, Status
from canary.core.snapshot import ReleaseResource
from canary.routers.dialect import Dialect
from canary.routers.gateway_api import GRPC_ROUTE, HTTP_ROUTE
from canary.routers.istio import VIRTUAL_SERVICE
from canary.routers.names import Names
from canary.routers.traefik import TRAEFIK_SERVICE

GOLDEN = Path(__file__).parent / "golden"
DIALECTS: dict[str, Dialect] = {
    "http_route": HTTP_ROUTE,
    "grpc_route": GRPC_ROUTE,
    "virtual_service": VIRTUAL_SERVICE,
    "traefik_service": TRAEFIK_SERVICE,
}
NAMES = Names("prod", "auth", "auth")


def read_golden(name: str) -> dict[str, Any]:
    """A manifest."""
    document: dict[str, Any] = yaml.safe_load((GOLDEN / f"{name}.yaml").read_text())
    return document


def build_resource(
    traffic: dict[str, Any], namespace: str = "prod", status: Status | None = None
) -> ReleaseResource:
    """A release of Deployment auth whose traffic is split like that."""
    spec = Spec.model_validate(
        {
            "target": {"name": "auth"},
            "traffic": traffic,
            "steps": [{"weight": 5}],
            "analysis": {"metrics": [{"name": "errors", "ratio": {"preset": "traefik"}}]},
        }
    )
    return ReleaseResource("auth", namespace, 1, spec, status or Status(), "1")
