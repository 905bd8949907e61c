"""The API server in memory keeps what a real one promises."""

import pytest

from tests.kube.api_contract import ApiContract
from tests.kube.fake_cluster import FakeCluster


class TestFake(ApiContract):
    @pytest.fixture
    def cluster(self) -> FakeCluster:
        return FakeCluster()

    @pytest.fixture
    def namespace(self) -> str:
        return "prod"
