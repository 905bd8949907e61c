"""A real API server keeps what the fake promises."""

from e2e.fixtures_plumbing import cluster, namespace
from tests.kube.contract import Contract

__all__ = ["cluster", "namespace"]


class TestRealServer(Contract):
    """All of it."""
