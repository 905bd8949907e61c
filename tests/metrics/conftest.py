from collections.abc import Iterator

import pytest

from tests.metrics.live_prometheus import LivePrometheus


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[LivePrometheus]:
    """One real Prometheus for all tests: it takes seconds until it scrapes."""
    one = LivePrometheus(tmp_path_factory.mktemp("prometheus"))
    yield one
    one.close()
