"""Commands against an API server in memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from canary import clock
from canary.cli import main
from tests.cli.releases import NOW
from tests.kube.api_server import NAMESPACES, ApiServer
from tests.kube.fake_cluster import FakeCluster


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """An API server with the namespaces prod and staging, at a time that stands still."""
    cluster = FakeCluster(lambda: NOW - 3600)
    for name in ("prod", "staging"):
        cluster.put(NAMESPACES, {"metadata": {"name": name}})
    made = ApiServer(cluster)
    monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig(tmp_path)))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(clock, "now", lambda: NOW)
    yield made
    made.close()


@pytest.fixture
def run(server: ApiServer, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, in a pipe."""
    assert server.url

    def call(*arguments: str) -> Ran:
        code = main.main(arguments)
        said = capsys.readouterr()
        return Ran(int(code), said.out, said.err)

    return call
