"""The API server in memory keeps what a real one promises."""

import pytest

from tests.kube.contract import Contract
from tests.kube.fake import FakeCluster


class TestFake(Contract):
    @pytest.fixture
    def cluster(self) -> FakeCluster:
        return FakeCluster()

    @pytest.fixture
    def namespace(self) -> str:
        return "prod"
