"""Each rule of `canary lint` finds what it is about, and nothing in what is well."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.api import load_releases
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import Kind
from canary.lint.checks_metrics import PrometheusOfRelease
from canary.lint.review import LintFile, LintSettings, LocatedFinding, locate_releases, review_files
from canary.lint.rules import RULES, LintInput, LintLevel
from canary.metrics.options import COMMAND, PrometheusSources
from canary.metrics.prometheus import PrometheusOptions
from tests.discovery.simulated_cluster import (
    BASE,
    DEPLOYMENT,
    RELEASE,
    ROUTE,
    SERVICE,
    build_cluster,
    parse_manifest,
)
from tests.discovery.simulated_cluster import change_manifest as changed
from tests.discovery.simulated_prometheus import (
    NOW,
    POD,
    CounterLine,
    FakePrometheus,
    application_series,
    gateway_series,
    pool_series,
)
from tests.http_server import HttpServer
from tests.kube.fake_cluster import FakeCluster

POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: front, namespace: prod}
spec:
  podSelector: {matchLabels: {app: auth}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
"""
SECOND = RELEASE.replace("name: auth, namespace", "name: again, namespace")
CRON = "{apiVersion: batch/v1, kind: CronJob, metadata: {name: smoke, namespace: prod, labels: {canary-controller.dev/checks: allowed}}, spec: {}}"
HOOKS = (
    "{apiVersion: v1, kind: Secret, metadata: {name: hooks, namespace: prod}, data: {other: eA==}}"
)
SLACK = [{"slack": {"secretRef": {"name": "hooks", "key": "slack"}}}]
SMOKE = [{"name": "smoke", "jobFrom": {"cronJob": "smoke"}}]
QUERY = {"name": "q", "query": "up", "max": 1}
REPLICAS = {"traffic": {"replicas": {}}}
ISTIO = {"traffic": {"istio": {"virtualService": "auth"}, "propagationDelay": "1s"}}
ERRORS = {"name": "errors", "ratio": {"preset": "traefik"}}
HTTP = {"name": "errors", "ratio": {"preset": "http"}}
REFUSED = {"name": "refused", "clientErrors": {"preset": "traefik"}}
SQL = {"name": "pool", "pool": {"preset": "sqlalchemy"}}
LEAK = {"name": "pool", "pool": {"preset": "hikaricp"}, "leak": {"window": "2h"}}
ENVOY = {"name": "errors", "ratio": {"preset": "envoy-gateway"}}


def steps(*weights: int, hold: str = "5m") -> dict[str, Any]:
    """Of a spec."""
    return {"steps": [{"weight": weight, "duration": hold} for weight in weights]}


GRPC = {
    "traffic": {"gatewayAPI": {"kind": "GRPCRoute", "name": "auth"}},
    "analysis": {"metrics": [{"name": "errors", "ratio": {"preset": "traefik"}}]},
}
"""Case m03: the router counts HTTP statuses, and a gRPC error has 200."""


def metrics(*found: dict[str, Any]) -> dict[str, Any]:
    """Of a spec's analysis."""
    return {"analysis": {"metrics": list(found)}}


def page(spec: dict[str, Any], *beside: str) -> LintFile:
    """The release with another spec, in a file with other manifests."""
    release = parse_manifest(RELEASE)
    for key, value in spec.items():
        if key == "analysis":
            value = release["spec"]["analysis"] | value  # noqa: PLW2901 - merged one level deep
        release["spec"][key] = value
    text = "---\n".join([yaml.safe_dump(release), *beside])
    loaded = load_releases(text, "release.yaml")
    assert not loaded.problems, loaded.problems
    return locate_releases(loaded, text.encode(), None)


def found(
    spec: dict[str, Any], *beside: str, settings: LintSettings | None = None
) -> list[LocatedFinding]:
    """What a review says."""
    return review_files([page(spec, *beside)], settings or LintSettings()).risks["release.yaml"]


def said(risks: list[LocatedFinding]) -> set[str]:
    """The ids of the rules."""
    return {risk.finding.rule.id for risk in risks}


ALONE = [
    ("first-step-large", steps(20, 50)),
    ("steep-step", steps(2, 60)),
    ("last-step-small", steps(1, 10)),
    ("no-bake", {"bake": "0s"}),
    ("min-duration-short", {"analysis": {"minDuration": "1m"}}),
    ("deadline-tight", {"deadline": "25m"}),
    ("no-data-timeout-beyond-deadline", {"analysis": {"noDataTimeout": "3h"}}),
    ("progress-beyond-deadline", {"progressDeadline": "3h"}),
    ("promote-without-evidence", {"onInconclusive": "Promote"}),
    ("no-requests-judged", metrics({"name": "pool", "pool": {"preset": "hikaricp"}})),
    ("client-errors-unseen", metrics(ERRORS)),
    ("lax-threshold", metrics(ERRORS | {"tolerance": 10})),
    ("lax-threshold", metrics(ERRORS | {"limit": 0.5})),
    ("lax-threshold", {"analysis": {"falsePositiveRate": 0.2}}),
    ("interval-short", {"analysis": {"interval": "1s"}}),
    ("propagation-delay-none", ISTIO),
    ("leak-window-long", metrics(ERRORS, LEAK)),
    ("checks-after-traffic", REPLICAS | {"checks": SMOKE} | metrics(HTTP)),
    ("weights-by-pods", REPLICAS | metrics(HTTP)),
    ("metric-impossible", REPLICAS),
    ("metric-impossible", metrics(ERRORS, SQL)),
    ("metric-impossible", metrics(ERRORS, QUERY) | {"analysis": {"source": "scrape", "metrics": [QUERY]}}),
    ("metric-impossible", metrics({"name": "own", "ratio": {"total": "rate(x[5m])", "bad": "y"}})),
    ("grpc-errors-unseen", GRPC),
    ("query-without-canary-pods", metrics(ERRORS, QUERY)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "spec"), [pytest.param(*case, id=f"{n} {case[0]}") for n, case in enumerate(ALONE)]
)
def test_a_spec_alone_shows_its_risks(rule: str, spec: dict[str, Any]) -> None:
    """Without any other manifest; the place is that of the field."""
    risks = found(spec)
    assert rule in said(risks)
    assert all(risk.place.line > 1 for risk in risks if risk.finding.rule.id == rule)


def test_a_careful_release_has_no_risk() -> None:
    """Alone, and beside the manifests that it names."""
    assert found({}) == []
    assert found({}, *BASE) == []


def test_all_routes_in_the_release_are_split() -> None:
    """And a route elsewhere to a Service of that name there is another Service's."""
    routes = {"traffic": {"routes": [{"gatewayAPI": {"name": n}} for n in ("auth", "other")]}}
    second = ROUTE.replace("name: auth, n", "name: other, n")
    theirs = ROUTE.replace("namespace: prod", "namespace: test")
    assert found(routes, *BASE, second, theirs) == []


SPREAD = [{"labelSelector": {"matchLabels": {"app": "auth"}}, "topologyKey": "zone", "maxSkew": 1}]
ENVOYS = ROUTE.replace("traefik.io/gateway-controller", "gateway.envoyproxy.io/gatewayclass-controller")  # fmt: skip
CONTROLLERS = tuple(
    f"{{apiVersion: {version}, kind: {kind}, metadata: {{name: x, namespace: prod}}, spec: {{"
    f"{field}: {{apiVersion: apps/v1, kind: Deployment, name: auth}}}}}}"
    for version, kind, field in (
        ("argoproj.io/v1alpha1", "Rollout", "workloadRef"),
        ("flagger.app/v1beta1", "Canary", "targetRef"),
        ("rollouts.kruise.io/v1beta1", "Rollout", "workloadRef"),
    )
)
SCALED_OBJECT = """
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: auth-scaled, namespace: prod}
spec: {scaleTargetRef: {name: auth}, minReplicaCount: 2}
"""
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: files, namespace: prod}
spec: {accessModes: [ReadWriteOnce]}
"""
VOLUME = {"name": "data", "persistentVolumeClaim": {"claimName": "files"}}
FILES = {"name": "files", "configMap": {"name": "auth-files"}}
CONFIG = {"configMapRef": {"name": "auth-config"}}
SETTINGS = {"secretRef": {"name": "auth-settings"}}
PASSWORD = {
    "name": "PASSWORD",
    "valueFrom": {"secretKeyRef": {"name": "auth-db", "key": "password"}},
}
KEYS = {"name": "keys", "secret": {"secretName": "auth-tls"}}
TOKEN = {"name": "token", "projected": {"sources": [
    {"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "kube-root-ca.crt"}},
]}}  # fmt: skip


def with_pod(**fields: object) -> str:
    """The Deployment with other fields of its pods."""
    pod = parse_manifest(DEPLOYMENT)["spec"]["template"]["spec"]
    return changed(DEPLOYMENT, "spec.template.spec", pod | fields)


def with_container(**fields: object) -> str:
    """The Deployment with other fields of its container."""
    (container,) = parse_manifest(DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
    return with_pod(containers=[container | fields])


BESIDE = [
    ("one-canary-pod", {}, (changed(DEPLOYMENT, "spec.replicas", 1),)),
    ("no-history", {}, (changed(DEPLOYMENT, "spec.revisionHistoryLimit", 0),)),
    ("recreate-by-pods", REPLICAS, (changed(DEPLOYMENT, "spec.strategy", {"type": "Recreate"}),)),
    ("paused-in-manifest", {}, (changed(DEPLOYMENT, "spec.paused", False),)),
    ("not-isolated", {}, (DEPLOYMENT, changed(SERVICE, "spec.selector", {"app": "other"}))),
    ("not-isolated", {"isolation": {"labels": ["tier"]}}, BASE),
    ("route-unfit", {"traffic": {"gatewayAPI": {"name": "auth", "rule": "logout"}}}, BASE),
    ("route-unsplit", {}, (*BASE, ROUTE.replace("name: auth, n", "name: other, n"))),
    (
        "route-unsplit",
        {},
        (
            *BASE,
            ROUTE.replace("name: auth, namespace: prod", "name: web, namespace: gateways").replace(
                "{name: auth, port: 80}", "{name: auth, namespace: prod, port: 80}"
            ),
        ),
    ),
    (
        "route-unfit",
        {"traffic": {"routes": [{"gatewayAPI": {"name": "auth", "rule": "logout"}}]}},
        BASE,
    ),
    ("envoy-one-cluster", metrics(ENVOY), (DEPLOYMENT, SERVICE, ENVOYS)),
    ("canary-missed", {}, (*BASE, POLICY)),
    (
        "canary-missed",
        {},
        (changed(DEPLOYMENT, "spec.template.spec.topologySpreadConstraints", SPREAD), SERVICE),
    ),
    ("same-target", {}, (SECOND,)),
    *(("other-controller", {}, (*BASE, other)) for other in CONTROLLERS),
    ("capacity-not-kept", {}, (*BASE, SCALED_OBJECT)),
    ("exclusive-resource", {}, (with_pod(hostNetwork=True),)),
    ("exclusive-resource", {}, (with_pod(volumes=[VOLUME]), CLAIM)),
    ("exclusive-resource", {}, (with_container(ports=[{"containerPort": 80, "hostPort": 80}]),)),
    ("configuration-unversioned", {}, (with_container(envFrom=[CONFIG]),)),
    ("configuration-unversioned", {}, (with_container(envFrom=[SETTINGS]),)),
    ("configuration-unversioned", {}, (with_pod(volumes=[FILES]),)),
]


@pytest.mark.parametrize(
    ("rule", "spec", "beside"),
    [pytest.param(*case, id=f"{n} {case[0]}") for n, case in enumerate(BESIDE)],
)
def test_other_manifests_show_risks(
    rule: str, spec: dict[str, Any], beside: tuple[str, ...]
) -> None:
    """The Deployment, the Service, the route and what selects pods, among the files."""
    assert rule in said(found(spec, *beside))


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(with_container(env=[PASSWORD]), id="a password"),
        pytest.param(with_pod(volumes=[KEYS]), id="a certificate"),
        pytest.param(with_pod(volumes=[TOKEN]), id="the cluster's own"),
        pytest.param(with_container(envFrom=[{"configMapRef": {"name": "auth-7hf2k9m4tb"}}]), id="Kustomize's hash"),
        pytest.param(with_container(envFrom=[{"secretRef": {"name": "auth-v2"}}]), id="a version"),
    ],
)  # fmt: skip
def test_c11_what_charts_have_anyway_is_no_finding(target: str) -> None:
    """Credentials change outside of releases on purpose, and a version in the name is the remedy."""
    assert "configuration-unversioned" not in said(found({}, target, SERVICE, ROUTE))


def test_m08_another_controller_of_the_deployment_is_named() -> None:
    """An Argo Rollout of another workload is none of our business."""
    (risk,) = (r for r in found({}, *BASE, CONTROLLERS[0]) if r.level is LintLevel.ERROR)
    assert "Rollout.argoproj.io x also scales Deployment auth" in risk.finding.message
    assert found({}, *BASE, CONTROLLERS[0].replace("name: auth", "name: other")) == []


OLD = """
apiVersion: traefik.containo.us/v1alpha1
kind: TraefikService
metadata: {name: auth, namespace: prod}
spec: {weighted: {services: [{name: auth, port: 80}]}}
"""
TRAEFIK = {"traffic": {"traefik": {"traefikService": "auth"}, "propagationDelay": "5s"}}


def test_m12_a_route_in_traefiks_old_api_group_is_too_old() -> None:
    """Moved to the present group it is fine."""
    (risk,) = [r for r in found(TRAEFIK, DEPLOYMENT, SERVICE, OLD) if r.level is LintLevel.ERROR]
    assert "TraefikService auth is in the API group traefik.containo.us" in risk.finding.message
    assert "no longer reads" in risk.finding.message
    new = OLD.replace("traefik.containo.us", "traefik.io")
    assert found(TRAEFIK, DEPLOYMENT, SERVICE, new) == []


def test_a_scaled_object_of_another_deployment_is_no_risk() -> None:
    """Only the one that scales this Deployment takes pods from it."""
    assert found({}, *BASE, SCALED_OBJECT.replace("name: auth}", "name: other}")) == []


def test_p08_counters_of_ones_own_may_count_client_errors() -> None:
    """Nobody knows what they count, so nothing is said of them."""
    own = {"total": "hits_total", "bad": 'hits_total{code=~"[45].."}'}
    said_of = {
        name: said(found(metrics(one)))
        for name, one in (("preset", ERRORS), ("own", {"name": "errors", "ratio": own}))
    }
    assert "client-errors-unseen" in said_of["preset"]
    assert "client-errors-unseen" not in said_of["own"]
    assert "client-errors-unseen" not in said(found(metrics(ERRORS, REFUSED)))


def test_m15_a_shared_volume_and_a_port_of_the_pod_are_no_risk() -> None:
    """Many pods on many nodes may have them."""
    shared = CLAIM.replace("ReadWriteOnce", "ReadWriteOnce, ReadWriteMany")
    assert found({}, with_pod(volumes=[VOLUME]), shared, SERVICE, ROUTE) == []
    assert found({}, with_container(ports=[{"containerPort": 80}]), SERVICE, ROUTE) == []


@pytest.mark.parametrize("name", ["auth-config-7hf2k9m4tb", "auth-config-v2"])
def test_c11_configuration_that_is_named_by_version_is_no_risk(name: str) -> None:
    """A rollback of the template brings back its content as well."""
    named = with_container(envFrom=[{"configMapRef": {"name": name}}])
    assert found({}, named, SERVICE, ROUTE) == []


def test_c11_a_checksum_in_the_template_is_no_risk() -> None:
    """As charts of Helm write it: a new content is a new template."""
    text = with_container(envFrom=[CONFIG])
    made = changed(text, "spec.template.metadata.annotations", {"checksum/config": "0a1b"})
    assert found({}, made, SERVICE, ROUTE) == []


@dataclass(frozen=True)
class Case:
    """A release in a cluster."""

    rule: str
    spec: dict[str, Any] = field(default_factory=dict)
    there: tuple[str, ...] = BASE
    words: str = ""
    refuse: str = ""


CLUSTER = [
    Case("target-missing", there=(SERVICE, ROUTE), words="there is no Deployment auth"),
    Case("service-missing", there=(DEPLOYMENT, ROUTE), words="there is no Service auth"),
    Case("route-missing", there=(DEPLOYMENT, SERVICE), words="there is no HTTPRoute auth"),
    Case("route-not-accepted", there=(DEPLOYMENT, SERVICE, ROUTE.replace("'True'", "'False'"))),
    Case("cron-job-missing", {"checks": SMOKE}, words="there is no CronJob smoke"),
    Case("cron-job-not-allowed", {"checks": SMOKE}, (*BASE, CRON.replace("allowed", "no"))),
    Case("cron-job-runs", {"checks": SMOKE}, (*BASE, CRON)),
    Case("secret-missing", {"notify": SLACK}, words="there is no Secret hooks"),
    Case("secret-missing", {"notify": SLACK}, (*BASE, HOOKS), words="has no key slack"),
    Case("same-target", there=(*BASE, SECOND), words="CanaryRelease again also manages"),
    Case("lookup-failed", {"notify": SLACK}, refuse="secrets", words="may not get secrets"),
    Case(
        "target-taken",
        there=(changed(DEPLOYMENT, "metadata.annotations", {"canary-controller.dev/hold": "x"}),),
        words="is managed by CanaryRelease x",
    ),
]


@pytest.mark.parametrize("case", [pytest.param(c, id=f"{n} {c.rule}") for n, c in enumerate(CLUSTER)])  # fmt: skip
def test_a_cluster_shows_what_is_missing(case: Case) -> None:
    """With --cluster what a release names is looked up."""
    cluster = build_cluster(*case.there)
    if case.refuse:
        cluster.before = refusing(case.refuse)
    risks = [
        r
        for r in found(case.spec, settings=LintSettings(cluster))
        if r.finding.rule.id == case.rule
    ]
    assert risks
    assert case.words in risks[0].finding.message


def refusing(plural: str) -> Callable[[str, Kind, str, str], None]:
    """A hook that forbids one resource."""

    def hook(verb: str, kind: Kind, _namespace: str, _name: str) -> None:
        if kind.plural == plural:
            raise ForbiddenError(f"you may not {verb} {plural}")

    return hook


def test_a_release_that_fits_its_cluster_has_no_risk() -> None:
    """Itself in the cluster is no rival, and a suspended CronJob is as it should be."""
    suspended = CRON.replace("spec: {}", "spec: {suspend: true}")
    cluster = build_cluster(*BASE, RELEASE, suspended, HOOKS.replace("other", "slack"))
    assert found({"checks": SMOKE, "notify": SLACK}, settings=LintSettings(cluster)) == []


MISLABELLED = [CounterLine("http_requests_total", {"job": "auth", "code": "200"}, 1.0)]
ELSEWHERE = [CounterLine("http_requests_total", POD | {"namespace": "test", "code": "200"}, 1.0)]
NAN = [
    CounterLine(f"hikaricp_connections_{name}", POD | {"pool": "main"}, value=float("nan"))
    for name in ("active", "max")
]
OPEN = [
    CounterLine("go_sql_in_use_connections", POD | {"db_name": "app"}, value=40),
    CounterLine("go_sql_max_open_connections", POD | {"db_name": "app"}, value=0),
]
MONITORED = [
    ("no-data", metrics({"name": "pool", "pool": {"preset": "hikaricp"}}), NAN, "hikaricp_connections_active: all values are NaN"),  # q03
    ("pool-unlimited", metrics({"name": "pool", "pool": {"preset": "go-sql"}}), OPEN, "go_sql_max_open_connections is 0, which means unlimited"),  # q04
    ("no-data", {}, [], "no series traefik_service_requests_total"),
    ("no-data", metrics(HTTP), MISLABELLED, "has no label pod"),
    ("no-data", metrics(HTTP), ELSEWHERE, "not in namespace prod"),
    ("no-data", {}, [CounterLine("traefik_service_requests_total", {"service": "x"}, 1.0)], "perhaps it has had no request yet"),
    ("status-label", metrics(HTTP), application_series("status"), "use preset http-status for label status"),
    ("too-little-traffic", {}, gateway_series(0.2), "needs 1,312 canary requests"),
    ("too-little-traffic", {}, gateway_series(0.0), "no request"),
    ("step-starves", {"steps": [{"weight": 1}, {"weight": 50}]}, gateway_series(3.0), "waits 55 min"),
    ("scraped-less-often", {"analysis": {"interval": "5s"}}, gateway_series(50), "scraped every 15 s"),
    ("no-data", metrics(ERRORS, {"name": "pool", "pool": {"preset": "hikaricp"}}), gateway_series(50), "pool: "),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=f"{n} {c[0]}") for n, c in enumerate(MONITORED)]
)
@pytest.mark.parametrize("there", [BASE, None], ids=["with a cluster", "by series alone"])
def test_prometheus_shows_what_is_not_there_or_too_little(
    case: tuple[str, dict[str, Any], list[CounterLine], str],
    there: tuple[str, ...] | None,
    server: HttpServer,
) -> None:
    """Every query is asked as the operator would ask it, for the pods that run now."""
    rule, spec, lines, words = case
    server.answer = FakePrometheus([*lines, CounterLine("up", POD)])
    risks = asked(server, spec, build_cluster(*there) if there else None)
    fitting = [risk for risk in risks if risk.finding.rule.id == rule]
    assert fitting, risks
    assert words in " ".join(risk.finding.message for risk in fitting)


def asked(
    server: HttpServer, spec: dict[str, Any], cluster: FakeCluster | None
) -> list[LocatedFinding]:
    """A review with Prometheus."""
    monitoring = PrometheusOfRelease(
        lambda _: PrometheusOptions(server.url, attempts=1), lambda: float(NOW)
    )
    try:
        return found(spec, settings=LintSettings(cluster, monitoring))
    finally:
        monitoring.close()


def test_a_release_under_enough_traffic_has_no_risk(server: HttpServer) -> None:
    """At 50 requests/s, with a pool and a query of its own."""
    own = {
        "name": "q",
        "query": 'sum by (pod) (hikaricp_connections_active{pod=~"{{ canary_pods }}"})',
    }
    pools = {"name": "pool", "pool": {"preset": "hikaricp"}}
    server.answer = FakePrometheus([*gateway_series(50, 0.05), *pool_series()])
    judged = metrics(ERRORS, REFUSED, pools, own | {"max": 9})
    assert asked(server, judged, build_cluster(*BASE)) == []


def test_no_running_pod_is_said_once(server: HttpServer) -> None:
    """Rather than "no data" for every metric."""
    server.answer = FakePrometheus(gateway_series(50))
    assert said(asked(server, {}, build_cluster(DEPLOYMENT, SERVICE, ROUTE))) == {"query-failed"}


def test_an_unknown_prometheus_is_an_error(tmp_path: Path) -> None:
    """The sources of the file are named; without names nothing is found."""
    file = tmp_path / "prometheus.yaml"
    file.write_text("sources: {main: {url: 'http://127.0.0.1:9'}}\n")
    monitoring = PrometheusOfRelease(PrometheusSources(None, file, COMMAND).select_for, lambda: NOW)
    spec = {"analysis": {"prometheus": "team-a"}}
    (risk,) = found(spec, settings=LintSettings(None, monitoring))
    monitoring.close()
    assert risk.finding.rule.id == "prometheus-unknown"
    assert risk.place.where == "spec.analysis.prometheus"
    assert "no Prometheus is named 'team-a': expected one of main" in risk.finding.message


def test_every_rule_is_tested() -> None:
    """A rule that never finds anything would be noticed by nobody."""
    tested = {rule for rule, *_ in (*ALONE, *BESIDE, *MONITORED)} | {c.rule for c in CLUSTER}
    assert {rule.id for rule in RULES} - tested == {
        "query-failed",
        "prometheus-unknown",
    }  # by tests above
    assert all(rule.title.endswith(".") and rule.remedy.endswith(".") for rule in RULES)
    assert {rule.needs for rule in RULES} == set(LintInput)
