"""What all tests share."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.http_server import HttpServer

# The same examples in every run: a test that fails, fails for everybody.
settings.register_profile("same-every-time", derandomize=True, deadline=None, print_blob=False)
settings.load_profile("same-every-time")


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """A scripted HTTP server on loopback."""
    one = HttpServer()
    yield one
    one.close()
