from collections.abc import Iterator

import pytest

from tests.metrics.lab import Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """One real Prometheus for all tests: it takes seconds until it scrapes."""
    one = Lab(tmp_path_factory.mktemp("prometheus"))
    yield one
    one.close()
