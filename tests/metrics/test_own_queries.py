"""Users' own PromQL, confined to a namespace: what comes out is asked of a real Prometheus."""

from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from canary.api import Metric, RatioSource, Status, load_release
from canary.core.increments import Side
from canary.core.series import Member, MetricAnswer, NoData, Selector, SeriesQuery
from canary.core.snapshot import ReleaseResource
from canary.errors import UsageError
from canary.interfaces import Key
from canary.metrics.batch import QueryBatcher
from canary.metrics.own_queries import OwnQueries, confine_expression, permit_query
from canary.metrics.promql import format_promql
from canary.metrics.queries import Context, compile_metric
from canary.metrics.query_template import template_of
from canary.operator.world_factory import PresetCheckingStore
from tests.analyze.backfilled_prometheus import BackfilledSeries
from tests.in_memory_world import RELEASE

OWN = 'namespace="prod"'

CONFINED = [
    ("hits", f"hits{{{OWN}}}"),
    ('hits{code="500"}', f'hits{{{OWN},code="500"}}'),
    ('{__name__="hits"}', f'{{{OWN},__name__="hits"}}'),
    ('{"hits",code="500"}', f'{{{OWN},"hits",code="500"}}'),
    ('hits{namespace="other"}', f'hits{{{OWN},namespace="other"}}'),
    ("sum by (code) (rate(hits[5m]))", f"sum by (code) ( rate ( hits{{{OWN}}} [5m] ) )"),
    ("SUM(hits) BY (a, b)", f"SUM ( hits{{{OWN}}} ) BY (a, b)"),
    ("a / on (x) group_left b", f"a{{{OWN}}} / on (x) group_left b{{{OWN}}}"),
    ("a == bool b", f"a{{{OWN}}} == bool b{{{OWN}}}"),
    ("max_over_time(a[1h:5m] offset -1d)", f"max_over_time ( a{{{OWN}}} [1h:5m] offset - 1d )"),
    ("a @ end()", f"a{{{OWN}}} @ end ( )"),
    ("a or vector(0) # or b", f"a{{{OWN}}} or vector ( 0 )"),
    ('label_replace(a, "x", "$1", "y", "{z}")',
     f'label_replace ( a{{{OWN}}} , "x" , "$1" , "y" , "{{z}}" )'),
    ("a > Inf", f"a{{{OWN}}} > Inf"),
    ("a{b=`}`,}", f"a{{{OWN},b=`}}`}}"),
    ("start + time", f"start{{{OWN}}} + time{{{OWN}}}"),
]  # fmt: skip

REFUSED = [
    pytest.param('info(hits, {secret="x"})', id="a function that reads other series"),
    pytest.param('{a="b" or namespace="other"}', id="an alternative inside braces"),
    pytest.param("WITH (x = other) x", id="a template of MetricsQL"),
    pytest.param("offset", id="a metric that is called like a keyword"),
    pytest.param("vector(1) + on () offset", id="the same where an operand is expected"),
    pytest.param("sum by (a) (x) + on () group_left () and", id="the same after a label list"),
    pytest.param("1 + bool", id="bool without a comparison"),
    pytest.param("sum", id="a metric that is called like an aggregation"),
    pytest.param("by{}", id="a metric that is called like a label list"),
    pytest.param("a}", id="a brace that was not opened"),
    pytest.param('a{b="c"', id="a brace that is not closed"),
    pytest.param('a{b="c', id="a string that is not closed"),
    pytest.param('a{b=="c"}', id="not a matcher"),
    pytest.param("a[5m + other]", id="an expression in brackets"),
    pytest.param("a\\-b", id="an escaped name"),
    pytest.param("a{$x}", id="a variable of something else"),
    pytest.param("sum by (a{) (b)", id="not a label list"),
]


METRICS = [
    "hits",
    "a",
    "b",
    "up",
    "and",
    "or",
    "unless",
    "offset",
    "bool",
    "by",
    "on",
    "sum",
    "avg",
    "group_left",
    "start",
    "end",
    "vector",
    "info",
    "inf",
]
NOW = 1_700_000_000


def past(*namespaces: str) -> Iterator[str]:
    """Series with every name that could be mistaken for something else, in these namespaces."""
    for name in METRICS:
        yield f"# TYPE {name} gauge"
        for number, namespace in enumerate(namespaces):
            for time in range(NOW - 600, NOW, 60):
                labels = f'namespace="{namespace}",x="{namespace}",code="500"'
                yield f"{name}{{{labels}}} {424242 + number} {time}"
    yield "# EOF"


@pytest.fixture(scope="module")
def beside_others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackfilledSeries]:
    """A Prometheus with series of the namespace `prod` and of another one."""
    with closing(BackfilledSeries(tmp_path_factory.mktemp("both"), past("prod", "other"))) as one:
        yield one


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackfilledSeries]:
    """A Prometheus with the same series of `prod` alone."""
    with closing(BackfilledSeries(tmp_path_factory.mktemp("alone"), past("prod"))) as one:
        yield one


def answer(prometheus: BackfilledSeries, text: str) -> object:
    """What an instant query gives; None: it is refused."""
    form = {"query": text, "time": NOW - 1}
    return requests.post(f"{prometheus.url}/api/v1/query", form, timeout=5).json().get("data")


@pytest.mark.parametrize(("text", "right"), CONFINED)
def test_the_namespace_is_in_every_selector(
    beside_others: BackfilledSeries, alone: BackfilledSeries, text: str, right: str
) -> None:
    """And the answer is as if there were nothing else."""
    assert confine_expression(text, "prod") == right
    assert answer(beside_others, right) == answer(alone, right)


def test_what_is_confined_means_the_same_as_before(alone: BackfilledSeries) -> None:
    """Where there is nothing else, the answers are those of the expression as it was written."""
    for text, right in CONFINED:
        assert answer(alone, right) == answer(alone, text), text


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_certain_is_refused_with_a_sentence(text: str) -> None:
    """Also what Prometheus would refuse itself: another server may not."""
    with pytest.raises(UsageError, match=r"cannot be confined to its namespace .* not supported"):
        confine_expression(text, "prod")


def test_a_namespace_cannot_inject() -> None:
    """It is quoted as every value is."""
    assert confine_expression("a", 'x"} or b{') == 'a{namespace="x\\"} or b{"}'


WORDS = st.sampled_from(
    [
        "a",
        "hits",
        "sum",
        "avg",
        "by",
        "group_left",
        "and",
        "or",
        "unless",
        "offset",
        "bool",
        "on",
        "start",
        "end",
        "vector",
        "info",
        "inf",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        ",",
        "=",
        "==",
        "=~",
        "!=",
        "<",
        ">",
        "-",
        "+",
        "/",
        "*",
        ":",
        "@",
        "#",
        "atan2",
        "rate",
        "count_values",
        "max_over_time",
        "ignoring",
        "group_right",
        "without",
        "x",
        "code",
        '"x"',
        "'other'",
        "`.*`",
        "5m",
        "1m",
        "1",
        "1.5",
        "namespace",
        "nan",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(words=st.lists(WORDS, min_size=1, max_size=12), glue=st.sampled_from([" ", "", "\n"]))
def test_no_series_of_others_has_a_part_in_the_answer(
    beside_others: BackfilledSeries, alone: BackfilledSeries, words: list[str], glue: str
) -> None:
    """Random tokens: refused by us, refused by Prometheus, or answered as if we were alone."""
    try:
        text = confine_expression(glue.join(words), "prod")
    except UsageError:
        return
    assert answer(beside_others, text) == answer(alone, text)


def test_switched_off_nothing_is_asked() -> None:
    """With what to use instead."""
    own = SeriesQuery("q", Selector("own"), (), promql="up", asker="prod")
    with pytest.raises(UsageError, match=r"--own-queries=off\): use ratio"):
        permit_query(OwnQueries.OFF, own)
    assert permit_query(OwnQueries.ON, own) == own


@pytest.mark.parametrize("policy", [OwnQueries.OFF, OwnQueries.ENFORCED])
def test_selectors_of_users_own_are_confined_as_well(policy: OwnQueries) -> None:
    """A `ratio` whose selector names another namespace selects nothing."""
    own = SeriesQuery(
        "q", Selector("hits"), ("pod",), raw=True, member=Member("pod", "a"), asker="prod"
    )
    asked = permit_query(policy, own)
    assert asked.member == Member("pod", "a", "namespace", "prod")
    assert template_of(asked) is not None


def test_the_operator_sends_only_what_is_confined() -> None:
    """What cannot be confined is a metric without data, with the sentence; the rest is asked."""
    sent: list[str] = []

    class Source:
        def read(self, queries: Sequence[SeriesQuery], *_: float) -> dict[str, MetricAnswer]:
            sent.extend(map(format_promql, queries))
            return {query.key: NoData("nothing") for query in queries}

        def final_until(self, now: float) -> float:
            return now

    context = Context("prod", {Side.CANARY: ("a-1",)})
    metrics = [
        Metric(name="mine", query="hits / total", max=1.0),
        Metric(name="theirs", query='info(hits, {namespace="other"})', max=1.0),
        Metric(name="errors", ratio=RatioSource(total='hits{namespace="other"}', bad="bad")),
    ]
    queries = [query for one in metrics for query in compile_metric(one, context).queries()]
    with closing(QueryBatcher(Source(), own_queries=OwnQueries.ENFORCED)) as batcher:
        answers = batcher.read(queries, 100.0, 400.0, 5.0)
    assert 'hits{namespace="prod"} / total{namespace="prod"}' in sent
    assert not any("info" in one for one in sent)
    assert all(
        'namespace="prod"' in one or 'namespace=~"prod"' in one for one in sent if "pod" in one
    )
    refused = answers["theirs"]
    assert isinstance(refused, NoData)
    assert "cannot be confined" in refused.why


def test_a_release_at_rest_says_that_its_query_is_not_asked() -> None:
    """Before anything is shipped: the spec cannot be followed."""
    text = RELEASE.replace(
        "{name: errors, ratio: {total: http_requests_total, bad: 'http_requests_total{code=\"500\"}'}}",
        "{name: own, query: up, max: 1}",
    )
    resource = ReleaseResource("auth", "prod", 1, load_release(text, "tests").spec, Status(), "1")

    class Store:
        def read(self, _key: Key) -> ReleaseResource:
            return resource

        def write_status(self, resource: ReleaseResource, status: Status) -> None: ...

        def remove_finalizer(self, resource: ReleaseResource) -> None: ...

    releases = PresetCheckingStore(Store(), lambda _: None, OwnQueries.OFF)
    with pytest.raises(UsageError, match="--own-queries=off"):
        releases.read(Key("prod", "auth"))
