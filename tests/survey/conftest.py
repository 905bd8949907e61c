from collections.abc import Iterator

import pytest

from tests.metrics.servers import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A scripted HTTP server on loopback."""
    one = Server()
    yield one
    one.close()
