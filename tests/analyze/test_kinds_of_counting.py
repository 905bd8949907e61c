"""Ways of exporting numbers that have misled a judge, on a real Prometheus with a past.

Each is asked three times: as the operator reads it, by `canary analyze` and by `canary backtest`.
The same question has the same answer.
"""

import json
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from canary.analyze.evaluation import AnalysisWindow, Evaluation, evaluate_history
from canary.api import CanaryRelease, Verdict, load_release
from canary.backtest.judge import decision_rule
from canary.cli.main import main
from canary.core.increments import Side
from canary.errors import ExitCode
from canary.metrics.batch import QueryBatcher
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.metrics.queries import Context, answers_of, compile_metric
from tests.analyze.backfilled_prometheus import BackfilledSeries
from tests.http_server import HttpServer, ReceivedRequest, Reply

STEP = 15
END = int(time.time()) // 60 * 60 - 60  # noqa: TID251 - a real Prometheus keeps no older past
BEGAN, OLD = END - 1500, END - 3000
"""The canary's first scrape, and that of stable's pods."""
Points = list[tuple[int, float]]
Row = tuple[str, dict[str, str], Points]
"""Metric, labels, points."""


@dataclass(frozen=True)
class Pod:
    """One pod of one side, and a name in the labels of its series."""

    name: str
    side: Side

    @property
    def start(self) -> int:
        return BEGAN if self.side is Side.CANARY else OLD

    @property
    def times(self) -> range:
        return range(self.start, END + 1, STEP)


def pods_of(deployment: str = "auth") -> list[Pod]:
    """Three pods of stable and two of the canary, their names cut as Kubernetes cuts them."""
    old, new = f"{deployment}-5d4f6c7b89-"[:58], f"{deployment}-canary-6c9d8f7b5-"[:58]
    return [Pod(f"{old}st{one}xz", Side.STABLE) for one in "bcd"] + [
        Pod(f"{new}cn{one}xz", Side.CANARY) for one in "bc"
    ]


def counted(pod: Pod, rate: float, rps: float = 10.0) -> tuple[Points, Points]:
    """Good and bad requests so far, at every scrape."""
    chance = random.Random(f"{pod.name} {rate}")  # noqa: S311 - simulated requests, no secrets
    good, bad = [(pod.start, 0.0)], [(pod.start, 0.0)]
    for at in pod.times[1:]:
        failed = sum(chance.random() < rate for _ in range(round(rps * STEP)))
        good.append((at, good[-1][1] + round(rps * STEP) - failed))
        bad.append((at, bad[-1][1] + failed))
    return good, bad


def requests_of(  # noqa: PLR0913 - how exporters differ
    *,
    canary: float = 0.001,
    metric: str = "http_requests_total",
    label: str = "code",
    good: str = "200",
    bad: str = "500",
    canary_label: str | None = None,
    deployment: str = "auth",
) -> Iterator[Row]:
    """Requests by status; stable fails one in a thousand."""
    for pod in pods_of(deployment):
        mine = (canary_label or label) if pod.side is Side.CANARY else label
        well, failed = counted(pod, canary if pod.side is Side.CANARY else 0.001)
        yield metric, {"pod": pod.name, mine: good}, well
        if first := [point for point in failed if point[1]]:
            yield metric, {"pod": pod.name, mine: bad}, first


def histogram(
    *,
    canary: float = 0.01,
    bound: str = "1.0",
    later: str | None = None,
    canary_buckets: bool = True,
) -> Iterator[Row]:
    """Response times with one bound; `later` is how Prometheus writes it after an update."""
    name, update = "http_request_duration_seconds", END - 700
    for pod in pods_of():
        fast, slow = counted(pod, canary if pod.side is Side.CANARY else 0.01)
        every = [(at, one + slow[index][1]) for index, (at, one) in enumerate(fast)]
        if pod.side is Side.CANARY and not canary_buckets:
            yield f"{name}_count", {"pod": pod.name}, every
            continue
        before = [point for point in fast if later is None or point[0] <= update]
        yield f"{name}_bucket", {"pod": pod.name, "le": bound}, before
        if later is not None:
            yield f"{name}_bucket", {"pod": pod.name, "le": later}, fast[len(before) :]
        yield f"{name}_bucket", {"pod": pod.name, "le": "+Inf"}, every
        yield f"{name}_count", {"pod": pod.name}, every


def workers() -> Iterator[Row]:
    """One of four processes answers at each scrape of an address."""
    chance = random.Random(4)  # noqa: S311 - as above
    for pod in pods_of():
        four = [counted(Pod(pod.name, pod.side), 0.001 + n / 1e6, 2.5 + n) for n in range(4)]
        turns = [chance.randrange(4) for _ in pod.times]
        for index, code in enumerate(("200", "500")):
            points = [four[who][index][n] for n, who in enumerate(turns)]
            yield "http_requests_total", {"pod": pod.name, "code": code}, points


def two_monitors(canary: float) -> Iterator[Row]:
    """Every pod is scraped twice, until one of the monitors goes; stable has a long past."""
    for metric, labels, points in requests_of(canary=canary):
        old = 2_000_000 if "canary" not in labels["pod"] else 0
        rows = [(at, value + old) for at, value in points]
        yield metric, labels | {"job": "podmonitor"}, rows
        yield metric, labels | {"job": "servicemonitor"}, [p for p in rows if p[0] < END - 600]


def pool(
    preset: tuple[str, str], canary: Iterable[tuple[str, float, float]], label: str = "pool"
) -> Iterator[Row]:
    """Gauges of connections in use and their maximum: (pool, in use, maximum) of the canary's."""
    for pod in pods_of():
        mine = canary if pod.side is Side.CANARY else [("main", 1.0, 10.0)]
        for name, in_use, maximum in mine:
            labels = {"pod": pod.name, label: name}
            for metric, value in zip(preset, (in_use, maximum), strict=True):
                yield metric, labels, [(at, value) for at in pod.times]


HIKARI = ("hikaricp_connections_active", "hikaricp_connections_max")
NODE = ("pg_pool_active_connections", "pg_pool_max")
GO = ("go_sql_in_use_connections", "go_sql_max_open_connections")
LONG = "customer-notification-preferences-service-production"
COUNT, BUCKET = "http_request_duration_seconds_count", "http_request_duration_seconds_bucket"


def ratio(total: str, **other: str) -> dict[str, object]:
    """A metric of one's own counters."""
    return {"ratio": {"total": total} | other}


@dataclass(frozen=True)
class Kind:
    """What is exported, what is asked, and what is right: a verdict, and words of its sentence."""

    rows: Callable[[], Iterator[Row]]
    metric: Mapping[str, object]
    verdict: Verdict
    words: str = ""
    deployment: str = "auth"


HTTP = {"ratio": {"preset": "http"}}
KINDS = {
    "p01-good-counter-that-does-not-exist": Kind(
        histogram, ratio(COUNT, good=f'{BUCKET}{{le="2"}}'), Verdict.NO_DATA,
        "counter of good ones has no series",
    ),
    "p01-bound-by-number": Kind(
        lambda: histogram(canary=0.5), ratio(COUNT, good=f'{BUCKET}{{le="1"}}'), Verdict.FAIL
    ),
    "p01-bound-spelled-anew": Kind(
        lambda: histogram(bound="1", later="1.0"), ratio(COUNT, good=f'{BUCKET}{{le="1"}}'),
        Verdict.PASS,
    ),
    "p01-slow-by-preset": Kind(
        lambda: histogram(canary=0.5), {"latency": {"preset": "http", "above": "900ms"}},
        Verdict.FAIL, "slower than 1 s",
    ),
    "p01-as-fast-by-preset": Kind(
        lambda: histogram(bound="1", later="1.0"),
        {"latency": {"preset": "http", "above": "1s"}}, Verdict.PASS,
    ),
    "p01-canary-without-buckets": Kind(
        lambda: histogram(canary_buckets=False),
        {"latency": {"preset": "http", "above": "1s"}}, Verdict.NO_DATA,
        "its histogram has no buckets there",
    ),
    "p01-metric-that-nobody-has": Kind(
        requests_of, ratio("http_requests_total", bad="http_failures_total"), Verdict.NO_DATA,
        "no series http_failures_total at all",
    ),
    "p01-label-that-nobody-has": Kind(
        requests_of, ratio("http_requests_total", bad='http_requests_total{stat="500"}'),
        Verdict.NO_DATA, "has the label 'stat'",
    ),
    "p03-status-as-words": Kind(
        lambda: requests_of(canary=0.02, label="status", good="OK", bad="Internal Server Error"),
        {"ratio": {"preset": "http-status"}}, Verdict.NO_DATA, "has no status codes",
    ),
    "p03-canary-names-it-otherwise": Kind(
        lambda: requests_of(canary=0.3, canary_label="status"), HTTP, Verdict.NO_DATA,
        "no series of http_requests_total has the label 'code'",
    ),
    "p03-classes-are-codes": Kind(
        lambda: requests_of(canary=0.05, good="2xx", bad="5xx"), HTTP, Verdict.FAIL
    ),
    "p04-workers-behind-one-address": Kind(
        workers, HTTP, Verdict.NO_DATA, "decreases repeatedly"
    ),
    "p05-second-monitor-goes-good": Kind(lambda: two_monitors(0.001), HTTP, Verdict.PASS),
    "p05-second-monitor-goes-bad": Kind(lambda: two_monitors(0.05), HTTP, Verdict.FAIL),
    "p08-canary-refuses-everybody": Kind(
        lambda: requests_of(canary=1.0, bad="401"), {"clientErrors": {"preset": "http"}},
        Verdict.FAIL, "client error, 4xx",
    ),
    "p14-uri-label-relabelled-away": Kind(
        lambda: requests_of(
            canary=0.05, metric="http_server_requests_seconds_count", label="status"
        ),
        {"ratio": {"preset": "spring-boot"}}, Verdict.FAIL,
    ),
    "p16-pod-names-cut-at-58": Kind(
        lambda: requests_of(deployment=LONG), HTTP, Verdict.PASS, deployment=LONG
    ),
    "q01-two-pools-in-one-process": Kind(
        lambda: pool(NODE, [("rw", 10, 10), ("ro", 0, 90)]),
        {"pool": {"preset": "node-postgres"}}, Verdict.FAIL, "10 of 10 connections",
    ),
    "q03-every-gauge-nan": Kind(
        lambda: pool(HIKARI, [("main", math.nan, math.nan)]),
        {"pool": {"preset": "hikaricp"}}, Verdict.NO_DATA, "NaN or infinite",
    ),
    "q03-one-gauge-nan": Kind(
        lambda: pool(HIKARI, [("main", 1, 10), ("jobs", math.nan, 10)]),
        {"pool": {"preset": "hikaricp"}}, Verdict.NO_DATA, "NaN or infinite",
    ),
    "q04-unlimited": Kind(
        lambda: pool(GO, [("app", 40, 0)], label="db_name"),
        {"pool": {"preset": "go-sql"}}, Verdict.NO_DATA, "0, which means unlimited",
    ),
}  # fmt: skip
NAMES = sorted(KINDS)


def release_of(name: str) -> tuple[CanaryRelease, str]:
    """A release that judges the kind's metric, and its file."""
    kind = KINDS[name]
    document = {
        "apiVersion": "canary-controller.dev/v1alpha1",
        "kind": "CanaryRelease",
        "metadata": {"name": "auth", "namespace": name},
        "spec": {
            "target": {"name": kind.deployment},
            "traffic": {"replicas": {}},
            "steps": [{"weight": 10, "duration": "5m"}],
            "analysis": {
                "interval": "15s",
                "minDuration": "5m",
                "smallestRegression": 0.02,
                "metrics": [{"name": "own"} | kind.metric],
            },
        },
    }
    text = json.dumps(document)
    return load_release(text, "release.yaml"), text


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackfilledSeries]:
    """One Prometheus; every kind is a namespace."""
    series: dict[str, list[str]] = {}
    for name, kind in KINDS.items():
        for metric, labels, points in kind.rows():
            address = f"{labels['pod']}:80"
            every = {"namespace": name, "instance": address, "job": "pods"} | labels
            shown = ",".join(f'{label}="{value}"' for label, value in every.items())
            rows = series.setdefault(metric, [])
            rows += [f"{metric}{{{shown}}} {value} {at}" for at, value in points]
    text = [line for metric in sorted(series) for line in series[metric]]
    one = BackfilledSeries(tmp_path_factory.mktemp("kinds"), [*text, "# EOF\n"])
    yield one
    one.close()


def as_operator(url: str, name: str) -> Evaluation:
    """The last look of an analysis that reads what the operator reads, in one go."""
    release, _ = release_of(name)
    pods = pods_of(KINDS[name].deployment)
    context = Context(name, {side: tuple(p.name for p in pods if p.side is side) for side in Side})
    started = {pod.name: float(BEGAN) for pod in pods if pod.side is Side.CANARY}
    analysis = release.spec.analysis
    span = AnalysisWindow.from_times(BEGAN - STEP, END, STEP)
    compiled = compile_metric(analysis.metrics[0], context)
    with (
        closing(Prometheus(PrometheusOptions(url))) as source,
        closing(QueryBatcher(source)) as batch,
    ):
        grid = span.grid
        answers = batch.read(compiled.queries(), grid.start, grid.end, grid.step)
    raw = {"own": answers_of(compiled, answers, started)}
    return list(evaluate_history(analysis, span, raw, decision_rule(release.spec, span)))[-1]


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command on the kind's release; gives the exit code and all that it has printed."""

    def command(name: str, url: str, *arguments: str, period: bool = True) -> tuple[int, str]:
        file = tmp_path / "release.yaml"
        file.write_text(release_of(name)[1])
        given = [str(file) if one == "FILE" else one for one in arguments]
        span = ("--from", str(BEGAN - STEP), "--to", str(END)) if period else ()
        code = main([*given, "--prometheus", url, *span])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return command


def analyzed(run: Run, name: str, url: str) -> tuple[int, str]:
    """`canary analyze` of the two sides by their pods' names."""
    sides = {
        side: [p.name for p in pods_of(KINDS[name].deployment) if p.side is side] for side in Side
    }
    pairs = [
        (f"--{side}", f'namespace="{name}",pod=~"{"|".join(pods)}"') for side, pods in sides.items()
    ]
    return run(name, url, "analyze", "-f", "FILE", *[one for pair in pairs for one in pair])


@pytest.mark.parametrize("name", NAMES)
def test_the_operator_is_not_misled(prometheus: BackfilledSeries, name: str) -> None:
    """Raw answers of the batched source, folded by the analysis."""
    kind = KINDS[name]
    judged = as_operator(prometheus.url, name).judged
    assert (judged.final, kind.words in judged.message) == (kind.verdict, True), judged.message


CODES = {
    Verdict.PASS: {ExitCode.OK},
    Verdict.FAIL: {ExitCode.FAILED},
    # What can be told before anything is judged is wrong input.
    Verdict.NO_DATA: {ExitCode.INCONCLUSIVE, ExitCode.USAGE},
}


@pytest.mark.parametrize("name", NAMES)
def test_analyze_says_what_the_operator_says(
    prometheus: BackfilledSeries, run: Run, name: str
) -> None:
    """Two groups of series by labels, instead of pods that are known."""
    kind = KINDS[name]
    code, said = analyzed(run, name, prometheus.url)
    assert code in CODES[kind.verdict], said
    assert kind.words in said


@pytest.mark.parametrize(
    ("name", "options", "right"),
    [
        ("p08-canary-refuses-everybody", ("--client-errors", "http"), (3, "client error, 4xx")),
        ("p08-canary-refuses-everybody", ("--metric", "http"), (0, "no request has failed")),
        ("p08-canary-refuses-everybody", (), (3, "using the preset http: errors and client")),
        ("p01-slow-by-preset", ("--latency", "http"), (3, "nearest to 500ms")),
        ("p01-slow-by-preset", ("--latency", "http", "--tolerance", "60"), (0, "slower than 1 s")),
        ("p01-slow-by-preset", ("--latency", "http", "--above", "2ms"), (6, "has no buckets near")),
        (
            "p01-slow-by-preset",
            ("--latency", "http", "--above", "0s"),
            (2, "--above: expected a duration"),
        ),
        ("p01-slow-by-preset", ("--above", "1s"), (2, "expected --latency PRESET")),
        ("p01-slow-by-preset", ("--latency", "htp"), (2, "did you mean 'http'")),
        (
            "p01-slow-by-preset",
            ("--client-errors", "http", "-f", "FILE"),
            (2, "omit --metric"),
        ),
    ],
)
def test_p08_latency_and_client_errors_are_options_as_well(
    prometheus: BackfilledSeries,
    run: Run,
    name: str,
    options: tuple[str, ...],
    right: tuple[int, str],
) -> None:
    """Beside `--metric`, or alone; without any of them client errors are judged as well."""
    sides = (
        *("--canary", f'namespace="{name}",pod=~".*-canary-.*"'),
        *("--stable", f'namespace="{name}",pod!~".*-canary-.*"'),
        *("--step", "15s"),
    )
    arguments = sides if "-f" not in options else sides[:4]
    found, said = run(name, prometheus.url, "analyze", *arguments, *options)
    assert (found, right[1] in said) == (right[0], True), said


DECISIONS = {Verdict.PASS: "promote", Verdict.FAIL: "roll back", Verdict.NO_DATA: "neither"}


@pytest.mark.parametrize("name", NAMES)
def test_backtest_says_what_the_operator_says(
    prometheus: BackfilledSeries, run: Run, name: str
) -> None:
    """Which version is the canary is found out by the names of pods."""
    kind = KINDS[name]
    code, said = run(name, prometheus.url, "backtest", "FILE")
    assert kind.words in said
    if code == ExitCode.USAGE:
        assert kind.verdict is Verdict.NO_DATA
        return
    assert code == ExitCode.OK, said
    assert DECISIONS[kind.verdict] in said


@pytest.mark.parametrize("name", ["p05-second-monitor-goes-good", "p05-second-monitor-goes-bad"])
def test_p05_figures_are_those_of_one_scrape(prometheus: BackfilledSeries, name: str) -> None:
    """Ten requests a second and pod, before and after the second monitor has gone."""
    (status,) = as_operator(prometheus.url, name).judged.metrics
    assert status.canary_total == pytest.approx(2 * 10 * 1440, rel=0.06)
    assert status.stable_total == pytest.approx(3 * 10 * 1440, rel=0.06)


@pytest.fixture
def partial(prometheus: BackfilledSeries) -> Iterator[HttpServer]:
    """In front of that Prometheus: half of the series, and `isPartial` as VictoriaMetrics has it."""

    def answer(request: ReceivedRequest) -> Reply:
        got = requests.post(f"{prometheus.url}{request.path}", data=request.form, timeout=10).json()
        got["data"]["result"] = got["data"]["result"][::2]
        kind = {"Content-Type": "application/json"}
        return Reply(json.dumps(got | {"isPartial": True}).encode(), headers=kind)

    server = HttpServer()
    server.answer = answer
    yield server
    server.close()


@pytest.mark.parametrize("named", [True, False], ids=["named", "chosen"])
def test_p12_half_of_the_series_is_no_verdict(
    partial: HttpServer, run: Run, *, named: bool
) -> None:
    """The preset that is looked for, and the one that is named; in all three ways."""
    name = "p05-second-monitor-goes-bad"
    assert "isPartial" in as_operator(partial.url, name).judged.message
    sides = (
        *("--canary", f'namespace="{name}",pod=~".*-canary-.*"'),
        *("--stable", f'namespace="{name}",pod!~".*-canary-.*"'),
    )
    code, said = run(name, partial.url, "analyze", *sides, *(["--metric", "http"] * named))
    assert code == ExitCode.INCONCLUSIVE, said
    assert "isPartial" in said
    code, said = run(name, partial.url, "backtest", "FILE")
    assert code != ExitCode.OK, said
    assert "isPartial" in said


def test_p12_lint_does_not_review_half_of_the_series(partial: HttpServer, run: Run) -> None:
    """What is missing may be there."""
    name = "p01-good-counter-that-does-not-exist"
    code, said = run(name, partial.url, "lint", "FILE", period=False)
    assert "returned a partial answer: isPartial" in said, (code, said)
