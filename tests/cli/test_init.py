"""`canary init`: drafts that validate, choices that are asked for, and what was not found."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from canary.api import CanaryRelease, load_release, load_releases
from canary.cli.main import main
from canary.lint.review import LintSettings, locate_releases, review_files
from tests.discovery.simulated_cluster import (
    BASE,
    DEPLOYMENT,
    POD,
    ROUTE,
    SERVICE,
    build_cluster,
    change_manifest,
)
from tests.discovery.simulated_prometheus import POD as OF_POD
from tests.discovery.simulated_prometheus import (
    CounterLine,
    FakePrometheus,
    application_series,
    gateway_series,
    pool_series,
)
from tests.http_server import HttpServer, Reply
from tests.kube.api_server import ApiServer

SECOND_SERVICE = SERVICE.replace("name: auth, namespace", "name: internal, namespace")
SECOND_ROUTE = ROUTE.replace("name: auth, namespace", "name: internal, namespace")
NINE_ROUTES = tuple(
    ROUTE.replace("name: auth, namespace", f"name: more-{n}, namespace") for n in range(9)
)
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: old, namespace: prod}
spec: {defaultBackend: {service: {name: auth, port: {number: 80}}}}
"""
PAGE = """http_requests_total{code="200"} 7
hikaricp_connections_active{pool="main"} 3
hikaricp_connections_max{pool="main"} 10
http_request_duration_seconds_bucket{le="0.1"} 5
http_request_duration_seconds_bucket{le="0.5"} 6
http_request_duration_seconds_bucket{le="+Inf"} 7
"""


@pytest.fixture
def prometheus() -> Iterator[HttpServer]:
    """A Prometheus of a service under 50 requests/s."""
    one = HttpServer()
    one.answer = FakePrometheus([*gateway_series(50, 0.01), *application_series(), *pool_series()])
    yield one
    one.close()


class Terminal:
    """Runs the command and keeps what it prints."""

    def __init__(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = tmp_path
        self.capsys = capsys
        self.out = self.err = ""

    def init(self, *arguments: str) -> int:
        code = main(["init", *arguments])
        self.out, self.err = self.capsys.readouterr()
        return code

    def online(self, server: ApiServer, *arguments: str) -> int:
        kubeconfig = str(server.kubeconfig(self.folder))
        return self.init("auth", "-n", "prod", "--kubeconfig", kubeconfig, *arguments)

    def offline(self, *texts: str, more: tuple[str, ...] = ()) -> int:
        file = self.folder / "all.yaml"
        file.write_text("---\n".join(texts))
        return self.init("--offline", str(file), *more)

    @property
    def release(self) -> CanaryRelease:
        """What was printed, read as the file that it is meant to be."""
        return load_release(self.out, "the draft")


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """Of the person."""
    return Terminal(tmp_path, capsys)


def test_a_draft_from_a_cluster_is_valid_and_without_risk(
    terminal: Terminal, prometheus: HttpServer
) -> None:
    """It names what is there, and lint has nothing to say of it."""
    with ApiServer(build_cluster(*BASE)) as server:
        assert terminal.online(server, "--prometheus", prometheus.url) == 0
    spec = terminal.release.spec
    assert spec.service is not None
    assert (spec.service.name, spec.isolation) == ("auth", None)
    assert spec.traffic.gateway_api is not None
    assert spec.analysis.interval == 15
    assert [step.weight for step in spec.steps] == [1, 5, 25, 50]
    sources = [metric.ratio or metric.pool for metric in spec.analysis.metrics]
    assert [one.preset for one in sources if one] == ["traefik", "hikaricp"]
    assert terminal.err == ""
    content = terminal.out.encode()
    page = locate_releases(load_releases(content, "draft"), content, None)
    assert review_files([page], LintSettings(build_cluster(*BASE))).risks["draft"] == []


def test_every_line_has_its_reason(terminal: Terminal, prometheus: HttpServer) -> None:
    """Comments say why, with the numbers, in lines that fit a screen."""
    with ApiServer(build_cluster(*BASE)) as server:
        terminal.online(server, "--prometheus", prometheus.url)
    for words in (
        "50 requests/s now",
        "scrapes the pods every 15 s",
        "5xx responses",
        "app: auth-canary",
    ):
        assert words in " ".join(terminal.out.replace("#", " ").split())
    assert max(map(len, terminal.out.splitlines())) <= 100


def test_little_traffic_makes_larger_steps_and_a_coarser_threshold(
    terminal: Terminal, prometheus: HttpServer
) -> None:
    """So that a good release ends before its deadline; with next to none it says that it cannot."""
    prometheus.answer = FakePrometheus([*gateway_series(0.5), *application_series()])
    with ApiServer(build_cluster(*BASE)) as server:
        terminal.online(server, "--prometheus", prometheus.url)
        spec = terminal.release.spec
        assert spec.steps[0].weight > 5
        assert spec.analysis.smallest_regression > 0.005
        prometheus.answer = FakePrometheus([*gateway_series(0.005), *application_series()])
        terminal.online(server, "--prometheus", prometheus.url)
        assert "too few for a result within 2 h" in terminal.err
        prometheus.answer = FakePrometheus([*gateway_series(0.0), *application_series(rate=0.0)])
        terminal.online(server, "--prometheus", prometheus.url)
    assert "no request in the last" in terminal.err
    assert terminal.release.spec.steps[0].weight == 1


def test_a_rate_of_the_first_minutes_is_said_to_be_young(
    terminal: Terminal, prometheus: HttpServer
) -> None:
    """A service that has just been deployed may get ten times as much an hour later."""
    lines = [*gateway_series(50, 0.01), *application_series(), *pool_series()]
    prometheus.answer = FakePrometheus(lines, age=120)
    with ApiServer(build_cluster(*BASE)) as server:
        assert terminal.online(server, "--prometheus", prometheus.url) == 0
    assert "run canary init again after ten minutes of traffic" in terminal.err
    assert "50 requests/s now (measured over " in " ".join(terminal.out.replace("#", " ").split())


def test_without_prometheus_the_pods_own_pages_are_read(terminal: Terminal) -> None:
    """Through the API server; the draft scrapes then."""
    with ApiServer(build_cluster(*BASE)) as server:
        server.pod_pages["auth-7d9c5b6f4-aaaaa"] = PAGE
        assert terminal.online(server) == 0
    analysis = terminal.release.spec.analysis
    assert analysis.source == "scrape"
    assert [(metric.kind, metric.preset) for metric in analysis.metrics] == [
        ("ratio", "http"),
        ("clientErrors", "http"),
        ("latency", "http"),
        ("pool", "hikaricp"),
    ]
    assert "Requests slower than 500 ms" in terminal.out
    assert "the current traffic is not known" in terminal.err


def test_what_cannot_be_seen_is_said_to_be_unseen(
    terminal: Terminal, prometheus: HttpServer
) -> None:
    """The router's preset is known by its controller; nobody pretends that it was seen."""
    prometheus.answer = FakePrometheus([])
    with ApiServer(build_cluster(*BASE)) as server:
        assert terminal.online(server, "--prometheus", prometheus.url) == 0
        assert "NO DATA FOUND" in terminal.out
        assert "has none for the 1 running pods of auth" in terminal.err
        server.refuse = {"list services": 403, "get pods/proxy": 403}
        assert terminal.online(server) == 7
    assert "no Service in namespace prod" in terminal.err


def test_a_pool_without_a_maximum_is_a_comment(terminal: Terminal, prometheus: HttpServer) -> None:
    """Its size is not invented."""
    used = CounterLine(
        "db_client_connections_usage", OF_POD | {"state": "used", "pool_name": "main"}
    )
    prometheus.answer = FakePrometheus([*application_series("status"), used])
    with ApiServer(build_cluster(*BASE)) as server:
        assert terminal.online(server, "--prometheus", prometheus.url) == 0
    assert (
        "# - {name: pool, pool: {preset: sqlalchemy, max: POOL_SIZE}, limit: 0.75}" in terminal.out
    )
    metrics = terminal.release.spec.analysis.metrics
    assert [metric.ratio.preset for metric in metrics if metric.ratio] == ["http-status"]


CHOICES = [
    pytest.param((*BASE, SECOND_SERVICE), (), "--service auth", id="two Services"),
    pytest.param((*BASE, *NINE_ROUTES), (), "supports at most 8", id="ten routes"),
    pytest.param(BASE, ("--service", "web"), "these do: auth", id="a Service of others"),
    pytest.param(BASE, ("--route", "web"), "matches no routes", id="a route of others"),
    pytest.param(BASE, ("--metric", "trafik"), "did you mean traefik?", id="a misspelt preset"),
    pytest.param(
        BASE, ("--metric", "http", "--metric", "traefik"), "one preset of requests", id="two presets"
    ),
    pytest.param((DEPLOYMENT, SERVICE), (), "no known preset was found", id="nothing known of the metrics"),
    pytest.param((*BASE, DEPLOYMENT.replace("name: auth, n", "name: web, n")), (), "--deployment auth",
                 id="two Deployments"),
]  # fmt: skip


@pytest.mark.parametrize(("texts", "flags", "words"), CHOICES)
def test_what_is_ambiguous_is_asked(
    texts: tuple[str, ...], flags: tuple[str, ...], words: str, terminal: Terminal
) -> None:
    """Exit code 2, the candidates, the flag; nothing on standard output."""
    assert terminal.offline(*texts, more=flags) == 2
    assert words in terminal.err
    assert terminal.out == ""
    assert len(terminal.err.splitlines()) == 1


def test_a_flag_settles_each_choice(terminal: Terminal) -> None:
    """Service, route, Deployment and metrics."""
    texts = (*BASE, SECOND_SERVICE, SECOND_ROUTE)
    flags = ("--service", "auth", "--route", "internal", "--metric", "hikaricp", "--metric", "http")
    assert terminal.offline(*texts, more=flags) == 0
    spec = terminal.release.spec
    assert spec.traffic.gateway_api is not None
    assert spec.traffic.gateway_api.name == "internal"
    assert [metric.kind for metric in spec.analysis.metrics] == [
        "ratio",
        "clientErrors",
        "pool",
    ]
    assert "So do internal" in terminal.out


def grpc_route(controller: str) -> str:
    """The route as a GRPCRoute, accepted by this controller."""
    route = ROUTE.replace("kind: HTTPRoute", "kind: GRPCRoute")
    return route.replace("traefik.io/gateway-controller", controller)


@pytest.mark.parametrize(
    ("controller", "more", "preset"),
    [
        pytest.param("istio.io/gateway-controller", (), "istio-grpc", id="the mesh sees them"),
        pytest.param("traefik.io/gateway-controller", ("--metric", "grpc"), "grpc", id="said"),
    ],
)
def test_m03_a_grpc_route_gets_a_metric_that_sees_grpc_errors(
    terminal: Terminal, controller: str, more: tuple[str, ...], preset: str
) -> None:
    """A gRPC error is HTTP status 200."""
    texts = (DEPLOYMENT, SERVICE, grpc_route(controller), POD)
    assert terminal.offline(*texts, more=more) == 0
    assert {metric.preset for metric in terminal.release.spec.analysis.metrics} == {preset}


def test_m03_a_router_that_counts_http_statuses_only_is_no_metric_for_grpc(
    terminal: Terminal,
) -> None:
    """No draft without a metric that could fail; the sentence names those that do."""
    assert terminal.offline(DEPLOYMENT, SERVICE, grpc_route("traefik.io/gateway-controller")) == 2
    assert "no preset that sees gRPC errors was found" in terminal.err
    assert "--metric: istio-grpc, linkerd, grpc, otel-grpc, otel-rpc" in terminal.err


def test_without_a_route_pods_are_counted_and_that_is_said(terminal: Terminal) -> None:
    """An Ingress cannot be weighted; it is named."""
    assert terminal.offline(DEPLOYMENT, SERVICE, INGRESS, more=("--metric", "http")) == 0
    spec = terminal.release.spec
    assert spec.traffic.replicas is not None
    assert spec.isolation is None
    assert [step.weight for step in spec.steps] == [25, 50]
    assert "Ingress old cannot be weighted" in terminal.err


def test_several_routes_are_all_weighted(terminal: Terminal) -> None:
    """Whatever their kinds; where their routers differ, the metric has to be named."""
    texts = (DEPLOYMENT, SERVICE, ROUTE, SECOND_ROUTE, ROUTES["istio"])
    assert terminal.offline(*texts) == 2
    assert "no known preset was found" in terminal.err
    assert terminal.offline(*texts, more=("--metric", "http")) == 0
    traffic = terminal.release.spec.traffic
    assert [(one.kind, one.name) for one in traffic.each] == [
        ("HTTPRoute", "auth"),
        ("HTTPRoute", "internal"),
        ("VirtualService", "auth"),
    ]
    assert "    propagationDelay: 5s" in terminal.out


def test_several_routes_of_one_router_have_its_metric(terminal: Terminal) -> None:
    """Each is what the router exports requests of."""
    assert terminal.offline(DEPLOYMENT, SERVICE, ROUTE, SECOND_ROUTE) == 0
    assert {metric.preset for metric in terminal.release.spec.analysis.metrics} == {"traefik"}


def test_m04_a_route_in_the_gateways_namespace_is_named(terminal: Terminal) -> None:
    """There is a route, and why it does not do."""
    route = ROUTE.replace("namespace: prod", "namespace: gateways").replace(
        "{name: auth, port: 80}", "{name: auth, namespace: prod, port: 80}"
    )
    assert terminal.offline(DEPLOYMENT, SERVICE, route, more=("--metric", "http")) == 0
    assert terminal.release.spec.traffic.replicas is not None
    words = "HTTPRoute gateways/auth sends traffic to Service auth"
    for text in (terminal.out, terminal.err):
        assert words in " ".join(text.replace("#", "").split())
    assert "from another namespace" in terminal.err


ROUTES = {
    "istio": "apiVersion: networking.istio.io/v1beta1\nkind: VirtualService\n"
    "metadata: {name: auth, namespace: prod}\n"
    "spec: {http: [{route: [{destination: {host: auth}}]}]}\n",
    "traefik": "apiVersion: traefik.io/v1alpha1\nkind: TraefikService\n"
    "metadata: {name: auth, namespace: prod}\n"
    "spec: {weighted: {services: [{name: auth, port: 80}]}}\n",
}


@pytest.mark.parametrize("router", ROUTES)
def test_routers_that_confirm_nothing_get_time(router: str, terminal: Terminal) -> None:
    """Istio and Traefik, in any version of their API; their own metrics are known."""
    assert terminal.offline(DEPLOYMENT, SERVICE, ROUTES[router]) == 0
    spec = terminal.release.spec
    assert getattr(spec.traffic, router) is not None
    assert spec.analysis.metrics[0].ratio is not None
    assert spec.analysis.metrics[0].ratio.preset == router
    assert "    propagationDelay: 5s" in terminal.out


def test_m12_a_route_in_traefiks_old_api_group_is_too_old(terminal: Terminal) -> None:
    """It is there, and the sentence says what is wrong with it."""
    old = ROUTES["traefik"].replace("traefik.io", "traefik.containo.us")
    assert terminal.offline(DEPLOYMENT, SERVICE, old, more=("--metric", "http")) == 0
    assert terminal.release.spec.traffic.replicas is not None
    assert (
        "TraefikService auth sends traffic to Service auth and is in the API group" in terminal.err
    )
    assert "no longer reads: move it to traefik.io" in terminal.err


def test_folders_and_names_that_yaml_would_misread(terminal: Terminal) -> None:
    """A Deployment named `on` stays a text; manifests without a namespace make one without."""
    folder = terminal.folder / "base"
    folder.mkdir()
    for name, text in (("d.yaml", DEPLOYMENT), ("s.yml", SERVICE)):
        made = change_manifest(text.replace(", namespace: prod", ""), "metadata.name", "on")
        (folder / name).write_text(made)
    assert terminal.init("--offline", str(folder), "--metric", "http") == 0
    assert terminal.release.spec.target.name == "on"
    assert "namespace" not in yaml.safe_load(terminal.out)["metadata"]
    terminal.init("--offline", str(folder), "--metric", "http", "-n", "shop")
    assert terminal.release.metadata.namespace == "shop"


AUTOSCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: auth-scaler, namespace: prod}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: auth}, maxReplicas: 9}
"""
SCALED_OBJECT = """
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: auth-scaled, namespace: prod}
spec: {scaleTargetRef: {name: auth}, minReplicaCount: 2}
"""
SMOKE = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: auth-smoke, namespace: prod}
spec: {suspend: true}
"""


ARGO = """
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: auth, namespace: prod}
spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: auth}}
"""


SWITCH = "sidecar.istio.io/inject"
"""A label that has to stay: another value makes other pods."""
LABELS = {"app": "auth", "tier": "api", SWITCH: "false"}


def selecting(label: str) -> str:
    """Another team's Service for the same pods."""
    other = SERVICE.replace("name: auth, namespace", "name: backend, namespace")
    return change_manifest(other, "spec.selector", {label: LABELS[label]})


@pytest.mark.parametrize("online", [False, True], ids=["files", "cluster"])
@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        pytest.param(
            "tier", "Canary pods get app: auth-canary and tier: api-canary", id="isolated"
        ),
        pytest.param(
            SWITCH, f"Service backend would select canary pods by {SWITCH}: false", id="impossible"
        ),
    ],
)
def test_m16_files_and_cluster_say_the_same_of_a_second_service(
    terminal: Terminal, prometheus: HttpServer, label: str, sentence: str, *, online: bool
) -> None:
    """As the operator would: which labels keep canary pods from it, or that none does."""
    pods = change_manifest(DEPLOYMENT, "spec.template.metadata.labels", LABELS)
    texts, more = (pods, SERVICE, ROUTE, selecting(label)), ("--service", "auth")
    if online:
        with ApiServer(build_cluster(*texts)) as server:
            assert terminal.online(server, *more, "--prometheus", prometheus.url) == 0
    else:
        assert terminal.offline(*texts, more=more) == 0
    assert sentence in " ".join(terminal.out.replace("#", " ").split())
    draft = terminal.out.encode()
    review_of = locate_releases(load_releases(draft, "draft"), draft, None)
    rules = {
        one.finding.rule.id
        for one in review_files([review_of], LintSettings(build_cluster(*texts))).risks["draft"]
    }
    assert ("not-isolated" in rules) is (label == SWITCH)


def test_m08_another_controller_of_the_deployment_is_named(terminal: Terminal) -> None:
    """Two controllers would scale it."""
    assert terminal.offline(*BASE, ARGO) == 0
    assert "Rollout.argoproj.io auth also scales Deployment auth" in terminal.err


def test_autoscaler_and_checks_are_mentioned(terminal: Terminal) -> None:
    """What goes on beside a release, and a suspended CronJob that may be a check."""
    assert terminal.offline(*BASE, AUTOSCALER, SMOKE) == 0
    said = " ".join(terminal.out.replace("#", " ").split())
    assert "HorizontalPodAutoscaler auth-scaler keeps scaling it" in said
    assert "# - {name: smoke, jobFrom: {cronJob: auth-smoke}}" in terminal.out
    terminal.offline(*BASE)
    assert "HorizontalPodAutoscaler" not in terminal.out


def test_a_scaled_object_is_named_instead_of_its_autoscaler(terminal: Terminal) -> None:
    """KEDA makes the autoscaler and writes it back: nobody else keeps its floor."""
    assert terminal.offline(*BASE, AUTOSCALER, SCALED_OBJECT) == 0
    said = " ".join(terminal.out.replace("#", " ").split())
    assert "ScaledObject auth-scaled keeps scaling it, also down while a release runs" in said
    assert "HorizontalPodAutoscaler" not in said


BAD = [
    pytest.param(("auth", "web"), 2, "expected one DEPLOYMENT", id="two Deployments"),
    pytest.param(("--offline", "none.yaml"), 2, "no such file: none.yaml", id="no such file"),
    pytest.param(
        ("auth", "--prometheus", "here"), 2, "--prometheus: expected http://HOST:PORT", id="no URL"
    ),
    pytest.param(
        ("--offline", "-", "--context", "x"),
        2,
        "--context cannot be combined with --offline",
        id="both worlds",
    ),
]


@pytest.mark.parametrize(("arguments", "code", "words"), BAD)
def test_wrong_arguments_are_refused(
    arguments: tuple[str, ...], code: int, words: str, terminal: Terminal
) -> None:
    """One line on standard error."""
    assert terminal.init(*arguments) == code
    assert words in terminal.err
    assert len(terminal.err.splitlines()) == 1


def test_what_goes_wrong_outside_has_its_exit_code(
    terminal: Terminal, prometheus: HttpServer
) -> None:
    """No such Deployment, forbidden, Prometheus away, Prometheus that is none."""
    with ApiServer(build_cluster(SERVICE, POD)) as server:
        assert terminal.online(server) == 7
        assert "there is no Deployment auth in namespace prod" in terminal.err
        assert "list all namespaces with `kubectl get deployments -A`" in terminal.err
        server.refuse = {"get deployments": 403}
        assert terminal.online(server) == 7
    with ApiServer(build_cluster(*BASE)) as server:
        assert terminal.online(server, "--prometheus", "http://127.0.0.1:9") == 1
        assert "cannot be queried" in terminal.err
        prometheus.answer = lambda _: Reply(b"<html>")
        assert terminal.online(server, "--prometheus", prometheus.url) == 2
        assert "is not a Prometheus" in terminal.err


def test_workers_without_a_service_are_drafted(terminal: Terminal) -> None:
    """Nothing is sent to them: no service, shared by the number of pods, and said so."""
    assert terminal.offline(DEPLOYMENT, more=("--metric", "http")) == 0
    spec = terminal.release.spec
    assert spec.service is None
    assert spec.traffic.replicas is not None
    assert "so they are workers" in terminal.err


@pytest.mark.parametrize(
    ("beside", "options"),
    [
        pytest.param(SERVICE.replace("app: auth", "app: other"), (), id="one of its name"),
        pytest.param("", ("--service", "auth"), id="one that is asked for"),
    ],
)
def test_a_service_that_selects_no_pod_makes_no_workers(
    beside: str, options: tuple[str, ...], terminal: Terminal
) -> None:
    """Somebody means a Service: it is said that it selects none of the pods."""
    texts = [text for text in (DEPLOYMENT, beside) if text]
    assert terminal.offline(*texts, more=("--metric", "http", *options)) == 7
    assert "selects the pods of Deployment auth" in terminal.err
