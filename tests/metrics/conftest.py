from collections.abc import Iterator

import pytest

from tests.metrics.lab import Lab
from tests.metrics.servers import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A scripted HTTP server on loopback."""
    one = Server()
    yield one
    one.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """One real Prometheus for all tests: it takes seconds until it scrapes."""
    one = Lab(tmp_path_factory.mktemp("prometheus"))
    yield one
    one.close()
