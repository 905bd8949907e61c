"""A real API server keeps what the fake promises."""

from e2e.fixtures_plumbing import cluster, namespace
from tests.kube.api_contract import ApiContract

__all__ = ["cluster", "namespace"]


class TestRealServer(ApiContract):
    """All of it."""
