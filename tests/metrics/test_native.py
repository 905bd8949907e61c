"""Native histograms in a real Prometheus: refused by a sentence wherever numbers are asked for."""

import json
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from canary.api import load_release
from canary.cli.main import main
from canary.core.increments import Side
from canary.core.series import (
    FoundSeries,
    Member,
    MetricAnswer,
    NoData,
    Selector,
    Series,
    SeriesQuery,
)
from canary.errors import ExitCode
from canary.metrics.batch import QueryBatcher
from canary.metrics.native import native_of
from canary.metrics.presets import LATENCIES, RATIOS
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.metrics.queries import Context, compile_metric
from tests.http_server import HttpServer, Reply
from tests.metrics.real_prometheus import RealPrometheus, wait_until

COUNTED = [one.name for one in RATIOS if one.total.metric.endswith("_count")]
SLOW = [one.name for one in LATENCIES]
HISTOGRAMS = {one.histogram.metric for one in LATENCIES} | {
    one.total.metric.removesuffix("_count") for one in RATIOS if one.name in COUNTED
}
POD = "auth-5d4f6c7b89-bcdfg"
WHOSE = {
    "reporter": "source",
    "destination_workload": "auth",
    "destination_workload_namespace": "prod",
    "service": "prod-auth-80@kubernetescrd",
    "envoy_cluster_name": "auth",
    "http_response_status_code": "200",
}
GATEWAY = WHOSE | {"envoy_cluster_name": "httproute/prod/auth/rule/0/backend/0"}


def varint(number: int) -> bytes:
    """As Protocol Buffers write whole numbers."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: float | bytes | str) -> bytes:
    """One field of a message: a varint, a double, or bytes with their length."""
    match value:
        case int():
            return varint(number << 3) + varint(value)
        case float():
            return varint(number << 3 | 1) + struct.pack("<d", value)
        case str() | bytes():
            data = value.encode() if isinstance(value, str) else value
            return varint(number << 3 | 2) + varint(len(data)) + data


def family(name: str, every: list[Mapping[str, str]]) -> bytes:
    """A MetricFamily of native histograms of ten observations in one bucket of schema 0."""
    bucket = field(12, field(1, 0) + field(2, 1)) + field(13, 20)  # zigzag: +10
    histogram = field(1, 10) + field(2, 5.0) + field(5, 0) + field(6, 1e-128) + field(7, 0) + bucket
    metrics = [
        b"".join(field(1, field(1, key) + field(2, value)) for key, value in labels.items())
        + field(7, histogram)
        for labels in every
    ]
    body = field(1, name) + field(3, 4) + b"".join(field(4, one) for one in metrics)
    return varint(len(body)) + body


PROTOBUF = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    """It scrapes every preset's histogram, as a native one, of a canary and of stable."""
    page = b"".join(family(name, [WHOSE, GATEWAY]) for name in sorted(HISTOGRAMS))
    server = HttpServer()
    server.answer = lambda _: Reply(page, headers={"Content-Type": PROTOBUF})
    targets = [
        {"targets": [server.address], "labels": {"namespace": "prod", "pod": pod, "version": v}}
        for pod, v in ((POD, "v1"), ("auth-canary-6c9d8f7b5-bcdfg", "v2"))
    ]
    job = {"job_name": "pods", "scrape_interval": "1s", "static_configs": targets}
    home = tmp_path_factory.mktemp("native")
    config = json.dumps({"scrape_configs": [job]})
    try:
        one = RealPrometheus(home, config, "--enable-feature=native-histograms")
    except BaseException:
        server.close()
        raise
    query = "min(count_over_time(http_server_request_duration_seconds[1m]))"
    wait_until(lambda: one.value(query) >= 3, "three scrapes")
    yield one
    one.close()
    server.close()


def context_of(preset: str) -> Context:
    """As the operator would ask."""
    backend = "auth/rule/0/backend/0" if preset == "envoy-gateway" else "auth"
    other = backend.replace("backend/0", "backend/1") if "/" in backend else "auth-canary"
    return Context("prod", {Side.STABLE: (POD,)}, {Side.STABLE: backend, Side.CANARY: other})


METRICS = [
    pytest.param({"latency": {"preset": name, "above": "500ms"}}, id=f"latency-{name}")
    for name in SLOW
]
METRICS += [pytest.param({"ratio": {"preset": name}}, id=f"errors-{name}") for name in COUNTED]


def release(metric: Mapping[str, object]) -> str:
    """A release that judges this metric."""
    document = {
        "apiVersion": "canary-controller.dev/v1alpha1",
        "kind": "CanaryRelease",
        "metadata": {"name": "auth", "namespace": "prod"},
        "spec": {
            "target": {"name": "auth"},
            "traffic": {"replicas": {}},
            "steps": [{"weight": 10, "duration": "5m"}],
            "analysis": {"metrics": [{"name": "own"} | metric]},
        },
    }
    return json.dumps(document)


@pytest.mark.parametrize("metric", METRICS)
def test_the_operator_says_that_a_histogram_is_native(
    prometheus: RealPrometheus, metric: Mapping[str, dict[str, str]]
) -> None:
    """Of every preset that counts by a histogram, its buckets included; in the batched source."""
    (own,) = load_release(release(metric), "release").spec.analysis.metrics
    compiled = compile_metric(own, context_of(own.preset or ""))
    end = float(int(prometheus.now()))
    options = PrometheusOptions(prometheus.url)
    with closing(Prometheus(options)) as source, closing(QueryBatcher(source)) as batch:
        for one in (source, batch):
            answers = one.read(compiled.queries(), end - 30, end, 1.0)
            for answer in answers.values():
                assert isinstance(answer, NoData)
                assert answer.partial
                assert "is a native histogram and has no" in answer.why


def test_a_histogram_that_only_others_have_as_a_classic_one_is_said_as_well() -> None:
    """One shared answer, in which there is nothing for the one who has a native histogram."""

    class Mixed:
        def read(self, queries: Sequence[SeriesQuery], *_: float) -> dict[str, MetricAnswer]:
            (query,) = queries
            if query.selector.matchers[0].value == "native":
                return {query.key: NoData("is native", partial=True)}
            labels = {"namespace": "classic", "pod": "a"}
            return {query.key: FoundSeries((Series(labels, ((100.0, 1.0),)),))}

        def final_until(self, now: float) -> float:
            return now

    def query(space: str) -> SeriesQuery:
        member = Member("pod", "a", "namespace", space)
        return SeriesQuery("total", Selector("x_count"), ("pod",), raw=True, member=member)

    with closing(QueryBatcher(Mixed())) as batch:
        batch.read([query("classic")], 50, 100, 1.0)
        batch.read([query("native")], 50, 100, 1.0)
        both = [batch.ask([query(space)], 50, 110, 1.0) for space in ("classic", "native")]
        found = [one.answers()["total"] for one in both if one.wait(5)]
    assert isinstance(found[0], FoundSeries)
    assert found[1] == NoData("is native", partial=True)


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(prometheus: RealPrometheus, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command with that Prometheus; gives the exit code and all that it has printed."""

    def command(*arguments: str) -> tuple[int, str]:
        code = main([*arguments, "--prometheus", prometheus.url])
        captured = capsys.readouterr()
        return code, " ".join((captured.out + captured.err).split())

    return command


@pytest.mark.parametrize(
    "options",
    [("--metric", "otel-http"), ("--latency", "otel-http"), ("--client-errors", "otel-http"), ()],
)
def test_analyze_says_that_a_histogram_is_native(run: Run, options: tuple[str, ...]) -> None:
    """With a preset that is named, and where none is."""
    sides = ("--canary", "version=v2", "--stable", "version=v1")
    since = str(int(time.time()) - 60)  # noqa: TID251 - of the Prometheus that runs now
    code, said = run("analyze", *sides, "--from", since, "--step", "1s", *options)
    assert (code, "is a native histogram and has no" in said) == (ExitCode.INCONCLUSIVE, True)
    assert "scrape_classic_histograms: true" in said


@pytest.mark.parametrize("metric", METRICS[-5:])
def test_lint_says_that_a_histogram_is_native(
    run: Run, tmp_path: Path, metric: Mapping[str, object]
) -> None:
    """Before any release starts."""
    file = tmp_path / "release.yaml"
    file.write_text(release(metric))
    _, said = run("lint", str(file))
    assert "is a native histogram and has no" in said
    assert "[no-data]" in said


def test_a_counter_of_ones_own_that_is_native_is_refused(run: Run) -> None:
    """It names the histogram itself, which is no counter."""
    sides = ("--canary", "version=v2", "--stable", "version=v1")
    since = str(int(time.time()) - 60)  # noqa: TID251 - as above
    own = ("--total", "http_request_duration_seconds", "--bad", "http_failures_total")
    code, said = run("analyze", *sides, "--from", since, "--step", "1s", *own)
    assert (code, "these series are native histograms" in said) == (ExitCode.INCONCLUSIVE, True)


def test_lint_of_a_counter_of_ones_own_that_is_native_ends_with_a_sentence(
    run: Run, tmp_path: Path
) -> None:
    """No traceback, whatever the histogram is asked for."""
    file = tmp_path / "release.yaml"
    own = {"total": "http_request_duration_seconds", "bad": "http_failures_total"}
    file.write_text(release({"ratio": own}))
    _, said = run("lint", str(file))
    assert "[no-data]" in said
    assert "unexpected" not in said


def test_other_metrics_have_no_native_form() -> None:
    """Nothing more is asked for these."""
    assert native_of(Selector("http_requests_total")) is None
    assert native_of(Selector("x_bucket")) == Selector("x")
