"""Several Prometheus servers in one operator: each release asks its own, and no other."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from canary.api import Status, load_release
from canary.core.increments import Side
from canary.core.series import Matcher, MatchOp, NoData, Selector, SeriesQuery
from canary.core.snapshot import ReleaseResource
from canary.errors import UsageError
from canary.interfaces import Key
from canary.metrics.batch import QueryBatcher
from canary.metrics.options import COMMAND, PrometheusSources
from canary.metrics.presets import ratio_preset
from canary.metrics.prometheus import Prometheus
from canary.metrics.queries import Context, compile_ratio
from canary.operator.metric_sources import MetricSources
from canary.operator.scrapers import Scrapers
from canary.operator.world_factory import PresetCheckingStore, SelectedSource
from tests.http_server import HttpServer, Reply
from tests.in_memory_world import RELEASE

EMPTY = b'{"status": "success", "data": {"resultType": "matrix", "result": []}}'
TENANTS = """
default: main
sources:
  main: {{url: '{main}'}}
  team-a:
    url: '{other}'
    http_headers: {{X-Scope-OrgID: {{values: [team-a]}}}}
"""


@pytest.fixture
def other() -> Iterator[HttpServer]:
    """A second server."""
    made = HttpServer()
    yield made
    made.close()


@pytest.fixture
def file(server: HttpServer, other: HttpServer, tmp_path: Path) -> Path:
    """The operator's file with two sources."""
    for one in (server, other):
        one.answer = lambda _: Reply(EMPTY, headers={"Content-Type": "application/json"})
    path = tmp_path / "prometheus.yaml"
    path.write_text(TENANTS.format(main=server.url, other=other.url))
    return path


@pytest.fixture
def sources(file: Path) -> Iterator[MetricSources]:
    """The sources of the file."""
    select = PrometheusSources(None, file, COMMAND).select
    with closing(MetricSources(select, Prometheus, QueryBatcher)) as made:
        yield made


def release(name: str | None) -> ReleaseResource:
    """A release that selects a source."""
    spec = load_release(RELEASE, "tests").spec
    analysis = spec.analysis.model_copy(update={"prometheus": name})
    spec = spec.model_copy(update={"analysis": analysis})
    return ReleaseResource("auth", "prod", 1, spec, Status(), "1")


def total(namespace: str) -> SeriesQuery:
    """The requests of a release: of all namespaces, they differ in the namespace only."""
    context = Context(namespace, {Side.STABLE: ("auth-1",), Side.CANARY: ("auth-canary-1",)})
    return compile_ratio(ratio_preset("http"), context, "errors").total


def namespaces(server: HttpServer) -> list[str]:
    """The namespaces in each query."""
    texts = [one.form["query"] for one in server.requests]
    return [re.findall(r'namespace=~?"([^"]*)"', text)[0] for text in texts]


def test_two_sources_never_share_a_query(
    sources: MetricSources, server: HttpServer, other: HttpServer
) -> None:
    """The same question of two releases of one source is one query; another source has its own."""
    batches = [
        (sources.batch(None), "a"),
        (sources.batch("main"), "b"),
        (sources.batch("team-a"), "c"),
    ]
    assert batches[0][0] is batches[1][0]
    for end in (1060, 1070):  # the first is of what the batches know by then
        pending = [batch.ask([total(one)], 1000, end, 10) for batch, one in batches]
        assert all(one.wait(20) for one in pending)
    assert sorted(namespaces(server)) == ["a", "a|b", "b"]
    assert namespaces(other) == ["c", "c"]
    assert {one.headers.get("X-Scope-OrgID") for one in other.requests} == {"team-a"}
    assert {one.headers.get("X-Scope-OrgID") for one in server.requests} == {None}
    assert not any('"c"' in one.form["query"] for one in server.requests)
    assert not any(
        '"a' in one.form["query"] and '"b' in one.form["query"] for one in other.requests
    )


def test_a_name_that_is_not_known_is_refused_at_rest_and_is_no_data_in_flight(
    sources: MetricSources,
) -> None:
    """Both times the sentence lists the names that there are."""
    words = "no Prometheus is named 'team-b': expected one of main, team-a"

    class Store:
        def read(self, _key: Key) -> ReleaseResource:
            return release("team-b")

        def write_status(self, _resource: ReleaseResource, _status: Status) -> None:
            raise NotImplementedError

        def remove_finalizer(self, _resource: ReleaseResource) -> None:
            raise NotImplementedError

    with pytest.raises(UsageError, match=words):
        PresetCheckingStore(Store(), lambda _: None, check_source=sources.batch).read(
            Key("prod", "auth")
        )
    query = SeriesQuery("q", Selector("x", (Matcher("pod", MatchOp.EQUAL, "a"),)), ("pod",))
    selected = SelectedSource(sources.batch, lambda: None, Scrapers(lambda *_: None))  # type: ignore[arg-type, return-value]
    selected.select(release("team-b"))
    assert selected.final_until(100.5) == 100.0
    answer = selected.read([query], 0, 60, 10)["q"]  # type: ignore[index]
    assert isinstance(answer, NoData)
    assert words in answer.why


def test_a_changed_file_opens_its_sources_again_and_only_those_that_changed(
    sources: MetricSources, file: Path, server: HttpServer, other: HttpServer
) -> None:
    """What a reconcile is still using stays open until the next change."""
    main, team = sources.batch("main"), sources.batch("team-a")
    text = TENANTS.format(main=server.url, other=other.url)
    file.write_text(text.replace("values: [team-a]", "values: [renamed]"))
    assert sources.batch("main") is main
    assert sources.batch("team-a") is not team
    assert team.ask([total("c")], 1000, 1060, 10).wait(20)
