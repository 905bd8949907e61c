"""A namespace of its own for each test module, deleted afterwards; a real API server's client."""

import os
import secrets
from collections.abc import Iterator

import pytest

from canary.kube.client import Client
from canary.kube.objects import Kind
from canary.kube.transport import load_transport

NAMESPACES = Kind("", "v1", "namespaces", "Namespace")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Client]:
    """The cluster of KUBECONFIG."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set: there is no cluster to test against")
    client = Client(load_transport(os.environ["KUBECONFIG"]))
    yield client
    client.close()


@pytest.fixture(scope="module")
def namespace(cluster: Client) -> Iterator[str]:
    """A new namespace."""
    name = f"plumb-{secrets.token_hex(4)}"
    cluster.create(NAMESPACES, "", {"metadata": {"name": name}})
    yield name
    cluster.delete(NAMESPACES, "", name, "Background")
