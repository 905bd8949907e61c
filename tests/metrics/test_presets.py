"""Every preset, evaluated by a real Prometheus over a page in its exporter's format (written, not captured)."""

import contextlib

import pytest

from canary.core.buckets import select_bound
from canary.core.increments import Side
from canary.core.rounds import Rounds
from canary.core.sampling import RatioAnswers, sample_ratio, selector_matches
from canary.core.series import FoundSeries, Matcher, MatchOp, Selector
from canary.errors import UsageError
from canary.metrics.presets import (
    LATENCIES,
    POOLS,
    RATIOS,
    LatencyPreset,
    PoolPreset,
    RatioPreset,
    client_errors_preset,
    latency_preset,
    pool_preset,
    ratio_preset,
)
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.metrics.queries import Context, answers_of, compile_latency, compile_pool, compile_ratio
from tests.metrics.live_prometheus import PAGES
from tests.metrics.real_prometheus import wait_until

NAMES = {Side.STABLE: "auth", Side.CANARY: "auth-canary"}
OTHER_NAMES = {
    "ingress-nginx": {Side.STABLE: "", Side.CANARY: "prod-auth-canary-8080"},
    "envoy-gateway": {Side.STABLE: "auth/rule/0/backend/0", Side.CANARY: "auth/rule/0/backend/1"},
    "traefik-file": {Side.STABLE: "auth-stable", Side.CANARY: "auth-canary"},
}
POD_JOBS = {p.name for p in (*RATIOS, *POOLS) if p.backend is None}
RATIO_ROWS = [(p.name, p) for p in RATIOS] + [
    (f"traefik-{where}", ratio_preset("traefik")) for where in ("file", "gateway")
]

LATENCY_ROWS = [(p.name, p) for p in LATENCIES] + [
    (f"traefik-{where}", latency_preset("traefik")) for where in ("file", "gateway")
]


def context(job: str) -> Context:
    """What the release of these expositions knows."""
    extra = [Matcher("job", MatchOp.EQUAL, job)]
    if job == "ingress-nginx":
        extra.append(Matcher("ingress", MatchOp.EQUAL, "auth"))
    return Context(
        namespace="prod",
        pods={Side.STABLE: ("auth-1",), Side.CANARY: ("auth-canary-1",)},
        backends=OTHER_NAMES.get(job, NAMES),
        maximum=10 if job == "sqlalchemy" else None,
        extra=tuple(extra),
    )


@pytest.fixture(scope="module")
def prometheus(lab):
    """The real Prometheus after it has scraped every exposition; gives (source, time)."""
    real = lab.prometheus
    scraped = f'count(up{{job=~"{"|".join(PAGES)}"}} == 1)'
    count = 3 * len(POD_JOBS) + len(PAGES) - len(POD_JOBS)
    wait_until(lambda: real.value(scraped) == count, "a scrape of every exposition")
    now = float(int(real.now()) + 1)
    wait_until(lambda: real.now() > now, "the next second")
    with contextlib.closing(Prometheus(PrometheusOptions(real.url))) as source:
        yield source, now


def values(answer, compiled) -> dict[Side, float]:
    """Sum of the newest values per side."""
    assert isinstance(answer, FoundSeries), answer
    found: dict[Side, float] = {}
    for series in answer.series:
        side = compiled.side_of(series.labels.get(compiled.label, ""))
        assert side is not None, f"{series.labels} belongs to neither side"
        found[side] = found.get(side, 0.0) + series.points[-1][1]
    return found


@pytest.mark.parametrize(("name", "preset"), RATIO_ROWS, ids=[name for name, _ in RATIO_ROWS])
def test_a_ratio_preset_counts_requests_and_bad_ones_per_side(
    prometheus, name: str, preset: RatioPreset
):
    """The numbers are those of the exposition, and nobody else's requests are among them."""
    source, now = prometheus
    compiled = compile_ratio(preset, context(name), "errors")
    answer = source.read(compiled.queries(), now - 10, now, 1)["errors.total"]
    stable = (9010, 10) if preset.backend else (1000, 50)
    assert values(answer, compiled) == {Side.STABLE: stable[0], Side.CANARY: 1000}
    assert isinstance(answer, FoundSeries)
    told = Selector("any", compiled.matchers)
    bad = FoundSeries(tuple(one for one in answer.series if selector_matches(told, one.labels)))
    assert values(bad, compiled) == {Side.STABLE: stable[1], Side.CANARY: 50}


@pytest.mark.parametrize(("name", "preset"), RATIO_ROWS, ids=[name for name, _ in RATIO_ROWS])
def test_p08_a_preset_counts_client_errors_apart(prometheus, name: str, preset: RatioPreset):
    """20 of the canary's 1,000 requests were answered with 401; none of these is an error."""
    source, now = prometheus
    compiled = compile_ratio(client_errors_preset(preset.name), context(name), "refused")
    answer = source.read(compiled.queries(), now - 10, now, 1)["refused.total"]
    stable = 9010 if preset.backend else 1000
    assert values(answer, compiled) == {Side.STABLE: stable, Side.CANARY: 1000}
    assert isinstance(answer, FoundSeries)
    told = Selector("any", compiled.matchers)
    bad = FoundSeries(tuple(one for one in answer.series if selector_matches(told, one.labels)))
    assert values(bad, compiled)[Side.CANARY] == 20


@pytest.mark.parametrize(("name", "preset"), LATENCY_ROWS, ids=[name for name, _ in LATENCY_ROWS])
def test_a_latency_preset_counts_requests_above_the_nearest_bound(
    prometheus, name: str, preset: LatencyPreset
):
    """Asked for 400 ms, the buckets 250, 500 and 1,000 give 30 slow of the canary's 1,000."""
    source, now = prometheus
    compiled = compile_latency(preset, 0.4, context(name), "slow")
    answers = source.read(compiled.queries(), now - 10, now, 1)
    raw = answers_of(compiled, answers)
    assert isinstance(raw, RatioAnswers)
    assert sample_ratio(raw, Rounds(now - 10, (now,))).bound == "500 ms"
    good = answers["slow.good"]
    assert isinstance(good, FoundSeries)
    fast = values(FoundSeries(select_bound(good.series, 0.5 / preset.unit)), compiled)
    total = values(answers["slow.total"], compiled)
    stable = (9010, 10) if preset.backend else (1000, 30)
    assert total == {Side.STABLE: stable[0], Side.CANARY: 1000}
    assert {side: total[side] - fast[side] for side in Side} == {
        Side.STABLE: stable[1],
        Side.CANARY: 30,
    }


@pytest.mark.parametrize("preset", POOLS, ids=lambda p: p.name)
def test_a_pool_preset_reads_connections_and_hold_time(prometheus, preset: PoolPreset):
    """7 of 10 in use, 2 waiting, 3 timed out, 125.5 s held: as far as the exporter tells."""
    source, now = prometheus
    compiled = compile_pool(preset, context(preset.name), "pool")
    answers = source.read(compiled.queries(), now - 10, now, 1)
    if compiled.idle is not None:
        size, idle = (
            values(answers[one.key], compiled) for one in (compiled.in_use, compiled.idle)
        )
        assert size[Side.CANARY] - idle[Side.CANARY] == 7
    for query, expected in (
        (compiled.in_use if compiled.idle is None else None, 7),
        (compiled.waiting, 2),
        (compiled.timeouts, 3),
        (compiled.hold, 125.5 / preset.hold_unit),
    ):
        if query is not None:
            assert values(answers[query.key], compiled)[Side.CANARY] == pytest.approx(expected)
    if isinstance(compiled.maximum, float | int):
        assert compiled.maximum == 10
    else:
        answer = answers[compiled.maximum.key]
        assert isinstance(answer, FoundSeries)
        assert {s.points[-1][1] for s in answer.series} == {10.0}


def test_every_preset_has_an_exposition():
    """A preset without a recording would not be tested."""
    assert {p.name for p in (*RATIOS, *LATENCIES, *POOLS)} <= set(PAGES)


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        pytest.param(
            lambda: ratio_preset("traefick"), "did you mean 'traefik'", id="a typing error"
        ),
        pytest.param(lambda: ratio_preset("hikaricp"), "not for a ratio", id="the wrong kind"),
        pytest.param(lambda: pool_preset("?"), "hikaricp-native", id="nonsense lists what exists"),
        pytest.param(
            lambda: compile_ratio(
                ratio_preset("envoy-gateway"),
                Context("prod", backends={Side.STABLE: "a/rule/0", Side.CANARY: "b/rule/0"}),
                "x",
            ),
            "carries a filter",
            id="Envoy Gateway with one cluster per rule",
        ),
        pytest.param(
            lambda: compile_ratio(
                ratio_preset("istio"),
                Context("prod", backends={Side.STABLE: "auth", Side.CANARY: "auth"}),
                "x",
            ),
            "expected a name for each",
            id="both sides are the same backend",
        ),
        pytest.param(
            lambda: compile_ratio(ratio_preset("ingress-nginx"), context("traefik"), "x"),
            "condition on the label 'ingress'",
            id="ingress-nginx without the ingress would count its neighbors",
        ),
        pytest.param(
            lambda: compile_pool(pool_preset("sqlalchemy"), Context("prod"), "x"),
            "pool_size + max_overflow",
            id="no maximum exported and none given",
        ),
    ],
)
def test_what_cannot_work_says_why(ask, expected):
    """Nothing falls back silently."""
    with pytest.raises(UsageError, match=expected.replace("+", r"\+")):
        ask()
