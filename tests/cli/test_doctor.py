"""`canary doctor`: each fault of a cluster is found, with its remedy and its exit code."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.cli.doctor import _print_findings
from canary.cli.main import main
from canary.discovery.topology import DIALECTS
from canary.doctor import (
    Diagnosis,
    DiagnosisState,
    DoctorContext,
    OperatorDefaults,
    diagnose_cluster,
)
from canary.doctor.definition import DEFINITIONS
from canary.doctor.diagnosis import report_ok, report_warning
from canary.doctor.pause_mode import NAMESPACES
from canary.doctor.rights import Right, role_rights
from canary.doctor.routers import GATEWAY_CLASSES
from canary.errors import TransientError
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import DEPLOYMENTS, LEASES, RELEASES, Kind, Object
from canary.kube.workloads.pause_mode import BINDINGS, POLICIES
from canary.metrics.prometheus import PrometheusOptions
from tests.discovery.simulated_cluster import (
    BASE,
    DEPLOYMENT,
    NOW,
    OPERATOR,
    RELEASE,
    ROUTE,
    build_cluster_with_operator,
    build_lease,
    change_manifest,
    parse_manifest,
)
from tests.discovery.simulated_prometheus import FakePrometheus
from tests.http_server import HttpServer, Reply
from tests.kube.api_server import ApiServer
from tests.kube.fake_cluster import FakeCluster

HELD = change_manifest(
    change_manifest(DEPLOYMENT, "metadata.annotations", {"canary-controller.dev/hold": "gone"}),
    "spec.paused",
    value=True,
)
SEEN = parse_manifest(RELEASE) | {"status": {"observedGeneration": 1}}
USUAL = OperatorDefaults("canary-controller", "http://127.0.0.1:9")
HEALTHY = {"count(up)": 9.0, "time() - max(timestamp(up))": 3.0, "vector(1)": 1.0}


class Clinic(FakeCluster):
    """A cluster that answers reviews: everything is allowed but what is in `refused`."""

    def __init__(self, furniture: FakeCluster) -> None:
        super().__init__()
        self.__dict__ |= furniture.__dict__
        self.refused: set[tuple[str | None, str, str]] = set()
        self.blind = False
        """Nobody may ask what others may do."""

    def create(self, kind: Kind, namespace: str, body: Any) -> Object:
        _ = kind, namespace
        spec = body["spec"]
        wanted = spec["resourceAttributes"]
        if self.blind and "user" in spec:
            raise ForbiddenError("you may not create subjectaccessreviews")
        resource = "/".join(filter(None, (wanted["resource"], wanted["subresource"])))
        allowed = (spec.get("user"), wanted["verb"], resource) not in self.refused
        return {**body, "status": {"allowed": allowed}}


@pytest.fixture
def prometheus() -> Iterator[HttpServer]:
    """A Prometheus that scrapes nine targets."""
    one = HttpServer()
    one.answer = FakePrometheus(fixed=dict(HEALTHY))
    yield one
    one.close()


@pytest.fixture
def clinic() -> Clinic:
    """A cluster in which all is well."""
    made = Clinic(build_cluster_with_operator(*BASE))
    made.put(RELEASES, SEEN)
    return made


def findings(clinic: Clinic, url: str | None = None, now: float = NOW) -> list[Diagnosis]:
    """All of them."""
    options = (PrometheusOptions(url, attempts=1),) if url else ()
    return list(
        diagnose_cluster(
            DoctorContext(clinic, "prod", "", "https://api", lambda: now, USUAL, options)
        )
    )


def troubles(found: list[Diagnosis]) -> list[tuple[str, DiagnosisState]]:
    """What is not well."""
    return [(one.check, one.state) for one in found if one.state is not DiagnosisState.OK]


def test_a_healthy_cluster_has_nothing_to_complain_of(
    clinic: Clinic, prometheus: HttpServer
) -> None:
    """Every check is made and says what it saw."""
    found = findings(clinic, prometheus.url)
    # The test's Prometheus lives today, the cluster at the beginning of 2030.
    assert [one for one in troubles(found) if one[0] != "clocks"] == []
    checks = {one.check for one in found}
    assert checks >= {
        *("cluster", "definition", "your rights", "operator", "leader", "operator's rights"),
        *("holding", "routers", "gateways", "prometheus", "clocks", "releases"),
    }
    assert all(one.sentence for one in found)


def edit(kind: Kind, name: str, path: str, value: object, namespace: str = "") -> Any:
    """A fault: another value in one object."""

    def fault(clinic: Clinic) -> None:
        text = yaml.safe_dump(clinic.get(kind, namespace, name))
        clinic.put(kind, parse_manifest(change_manifest(text, path, value)))

    return fault


def put(kind: Kind, text: str) -> Any:
    """A fault: one more object, or another one."""
    return lambda clinic: clinic.put(kind, parse_manifest(text))


def without(*kinds: Kind) -> Any:
    """A fault: kinds that are not served."""
    return lambda clinic: clinic.unserved.update(kinds)


def gone(kind: Kind, name: str, namespace: str = "") -> Any:
    """A fault: an object that is not there."""
    return lambda clinic: clinic.remove(kind, namespace, name, "Background")


def refuse(account: str | None, verb: str, resource: str) -> Any:
    """A fault: a right that is missing."""
    return lambda clinic: clinic.refused.add((account, verb, resource))


def blind(clinic: Clinic) -> None:
    """A fault: nobody may ask what others may do."""
    clinic.blind = True


def told(flag: str) -> Any:
    """A fault: a flag of the operator."""
    path = "spec.template.spec.containers"
    containers = [{"name": "operator", "image": "canary:lab", "args": ["operator", flag]}]
    return edit(DEPLOYMENTS, "canary", path, containers, "canary-system")


W, E = DiagnosisState.WARNING, DiagnosisState.ERROR
SYSTEM = "canary-system"
STALLED = [{"type": "Stalled", "status": "True", "reason": "TargetNotFound", "message": "none."}]
OLD = {"schema": {"openAPIV3Schema": {"properties": {"spec": {}}}}, "name": "v1alpha1"}
PARTLY = {"namespaceSelector": {"matchLabels": {"guarded": "yes"}}}
STRANGER = [{"name": "not-us", "expression": "request.userInfo.username != 'somebody'"}]
ONE_READY = {"readyReplicas": 1}
Fault = Callable[[Clinic], None]
FAULTS = [
    ("no definition", without(RELEASES), "definition", E, "does not serve CanaryRelease"),
    ("an old definition", edit(DEFINITIONS, f"{RELEASES.plural}.{RELEASES.group}", "spec.versions", [OLD]), "definition", E, "it lacks"),
    ("no operator", gone(DEPLOYMENTS, "canary", SYSTEM), "operator", E, "runs `canary operator`"),
    ("no replica ready", edit(DEPLOYMENTS, "canary", "status", {}, SYSTEM), "operator", E, "0 of 2"),
    ("one replica ready", edit(DEPLOYMENTS, "canary", "status", ONE_READY, SYSTEM), "operator", W, "1 of 2"),
    ("another version", edit(DEPLOYMENTS, "canary", "metadata.labels", {"app.kubernetes.io/name": "canary", "app.kubernetes.io/version": "9.9.9"}, SYSTEM), "operator's version", W, "version 9.9.9"),
    ("no lease", gone(LEASES, "canary-controller", SYSTEM), "leader", E, "no replica has ever been leader"),
    ("a lease given back", edit(LEASES, "canary-controller", "spec.holderIdentity", "", SYSTEM), "leader", E, "no replica holds"),
    ("a right of the operator", refuse(OPERATOR, "patch", "deployments"), "operator's rights", E, "may not patch deployments"),
    ("rights that cannot be seen", blind, "operator's rights", W, "may not check the rights"),
    ("a person who may not look", refuse(None, "watch", "canaryreleases"), "your rights", E, "watch canaryreleases"),
    ("a person who may not act", refuse(None, "patch", "canaryreleases"), "your rights", W, "not promote, abort"),
    ("a person who may not look around", refuse(None, "list", "pods"), "your rights", W, "list pods"),
    ("no policy", gone(POLICIES, "canary-hold"), "holding", W, "the policy canary-hold is missing"),
    ("no binding", gone(BINDINGS, "canary-hold"), "holding", W, "has no binding"),
    ("on change without a policy", lambda c: (told("--hold-mode=on-change")(c), gone(POLICIES, "canary-hold")(c)), "holding", E, "runs with --hold-mode on-change"),
    ("on change, not served", lambda c: (told("--hold-mode=on-change")(c), without(POLICIES, BINDINGS)(c)), "holding", E, "MutatingAdmissionPolicy only as v1beta1"),
    ("a binding for some namespaces", edit(BINDINGS, "canary-hold", "spec.matchResources", PARTLY), "holding", W, "does not apply to all"),
    ("a binding that leaves releases out", lambda c: (told("--hold-mode=on-change")(c), edit(BINDINGS, "canary-hold", "spec.matchResources", PARTLY)(c)), "holding", E, "does not apply in prod"),
    ("a policy for some namespaces", edit(POLICIES, "canary-hold", "spec.matchConstraints", PARTLY), "holding", E, "does not apply in prod"),
    ("a policy that holds the operator", edit(POLICIES, "canary-hold", "spec.matchConditions", STRANGER), "holding", E, "does not exempt"),
    ("a binding of another policy", edit(BINDINGS, "canary-hold", "spec.policyName", "other"), "holding", E, "references policy other"),
    ("no router", without(*(dialect.kind for dialect in DIALECTS)), "routers", W, "no supported router"),
    ("a class that nobody accepts", edit(GATEWAY_CLASSES, "front", "status", {}), "gateways", W, "has not accepted GatewayClass"),
    ("no gateway", gone(GATEWAY_CLASSES, "front"), "gateways", W, "there is no GatewayClass"),
    ("a route that nobody accepts", put(DIALECTS[0].kind, ROUTE.replace("'True'", "'False'")), "release prod/auth", W, "no controller has accepted"),
    ("a stalled release", edit(RELEASES, "auth", "status.conditions", STALLED, "prod"), "release prod/auth", E, "TargetNotFound: none"),
    ("a paused release", edit(RELEASES, "auth", "status.release", {"pause": {"reason": "NoData"}}, "prod"), "release prod/auth", W, "paused (NoData)"),
    ("a release nobody looks at", edit(RELEASES, "auth", "status", {}, "prod"), "release prod/auth", E, "has never been reconciled"),
    ("two releases on one target", put(RELEASES, RELEASE.replace("name: auth, n", "name: more, n") + "status: {observedGeneration: 1}"), "release prod/more", E, "same target as auth"),
    ("a Deployment left paused", put(DEPLOYMENTS, HELD), "deployment prod/auth", E, "still paused by CanaryRelease gone"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "check", "state", "words"), [pytest.param(*case, id=name) for name, *case in FAULTS]
)
def test_each_fault_is_found(
    fault: Fault, check: str, state: DiagnosisState, words: str, clinic: Clinic
) -> None:
    """By the check that is about it, with a remedy."""
    fault(clinic)
    found = [one for one in findings(clinic) if (one.check, one.state) == (check, state)]
    assert any(words in one.sentence for one in found), findings(clinic)
    assert all(one.remedy for one in found)


@pytest.mark.parametrize("reason", ["Aborted", "Undone", "PausedByPerson"])
def test_what_a_person_did_is_no_error(reason: str, clinic: Clinic) -> None:
    """Somebody knows already; a rollback by itself still is one."""
    stalled = [{**STALLED[0], "reason": reason}]
    paused = {"pause": {"reason": reason}} if reason == "PausedByPerson" else None
    edit(RELEASES, "auth", "status.conditions", stalled, "prod")(clinic)
    edit(RELEASES, "auth", "status.reason", reason, "prod")(clinic)
    edit(RELEASES, "auth", "status.release", paused, "prod")(clinic)
    mine = [one for one in findings(clinic) if one.check == "release prod/auth"]
    assert mine
    assert all(one.state is not E for one in mine), mine


def test_a_release_that_ends_for_long(clinic: Clinic) -> None:
    """Its finalizer waits for an operator."""
    going = {"deletionTimestamp": "2029-12-31T23:00:00Z", "finalizers": ["x"]}
    clinic.put(RELEASES, {**SEEN, "metadata": SEEN["metadata"] | going})
    assert ("release prod/auth", E) in troubles(findings(clinic))


def test_a_lease_that_ran_out_has_no_holder(clinic: Clinic) -> None:
    """By the API server's clock; the replica's own may be wrong."""
    assert ("leader", E) not in troubles(findings(clinic, now=NOW + 10))
    assert ("leader", E) in troubles(findings(clinic, now=NOW + 20))
    clinic.put(LEASES, build_lease(15))
    assert ("leader", E) not in troubles(findings(clinic, now=NOW + 20))


MONITORING = [
    ("scrapes nothing", {}, E),
    ("stopped long ago", HEALTHY | {"time() - max(timestamp(up))": 290.0}, E),
    ("is late", HEALTHY | {"time() - max(timestamp(up))": 100.0}, W),
    ("cannot scrape most", HEALTHY | {"count(up == 0)": 8.0}, W),
]


@pytest.mark.parametrize(
    ("fixed", "state"), [pytest.param(*case, id=name) for name, *case in MONITORING]
)
def test_a_prometheus_that_is_not_well(
    fixed: dict[str, float], state: DiagnosisState, clinic: Clinic, prometheus: HttpServer
) -> None:
    """It answers, and still nothing can be judged by it."""
    prometheus.answer = FakePrometheus(fixed=fixed)
    assert ("prometheus", state) in troubles(findings(clinic, prometheus.url))


def test_a_prometheus_that_does_not_answer(clinic: Clinic, prometheus: HttpServer) -> None:
    """Named by a person it is an error; the operator's own may be out of reach from here."""
    assert ("prometheus", E) in troubles(findings(clinic, "http://127.0.0.1:9"))
    prometheus.answer = lambda _: Reply(b"<html>")
    assert ("prometheus", E) in troubles(findings(clinic, prometheus.url))
    told("--prometheus-url=http://127.0.0.1:9")(clinic)
    assert ("prometheus", W) in troubles(findings(clinic))


def test_the_operators_file_of_prometheus_cannot_be_read_from_here(clinic: Clinic) -> None:
    """It is a Secret, so a person has to give the same file."""
    told("--prometheus-config=/etc/canary/prometheus/prometheus.yaml")(clinic)
    found = [one for one in findings(clinic) if one.check == "prometheus"]
    assert [one.state for one in found] == [W]
    assert "/etc/canary/prometheus/prometheus.yaml" in found[0].sentence
    assert "--prometheus-config FILE" in found[0].remedy


def test_clocks_are_compared(clinic: Clinic, prometheus: HttpServer) -> None:
    """A Prometheus that lives in another time reads samples from there."""
    prometheus.answer = FakePrometheus(fixed=dict(HEALTHY))
    assert ("clocks", E) in troubles(findings(clinic, prometheus.url))


def test_what_may_not_be_seen_is_a_warning(clinic: Clinic) -> None:
    """Somebody with few rights still gets the rest."""

    def hook(verb: str, kind: Kind, _namespace: str, _name: str) -> None:
        if kind is not NAMESPACES:
            raise ForbiddenError(f"you may not {verb} {kind.plural}")

    clinic.before = hook
    found = findings(clinic)
    assert {one.check for one in found if one.state is W} >= {
        *("operator", "releases", "holding", "gateways")
    }
    assert not [one for one in found if one.state is E]
    assert all(len(one.sentence) < 100 for one in found)


def test_the_rights_are_those_of_the_manifests() -> None:
    """One source: the roles that are installed."""
    assert Right("apps", "deployments", "patch") in role_rights("canary")
    assert Right("coordination.k8s.io", "leases", "create") in role_rights("canary-lease")
    assert all(right.name == "canary-hold" for right in role_rights("canary-hold-mode"))
    root = Path(__file__).parents[2]
    ours = (root / "canary/doctor/rbac.yaml").read_text("utf-8")
    assert ours == (root / "manifests/operator/rbac.yaml").read_text("utf-8")


def test_the_command_from_end_to_end(
    clinic: Clinic, tmp_path: Path, prometheus: HttpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over HTTP: lines in a pipe, JSON for programs, exit codes 0, 3, 7 and 1."""
    clinic.put(
        LEASES,
        {**build_lease(0), "spec": build_lease(0)["spec"] | {"renewTime": "2999-01-01T00:00:00Z"}},
    )
    with ApiServer(clinic) as server:
        arguments = ["doctor", "--kubeconfig", str(server.kubeconfig(tmp_path)), "-n", "prod"]
        arguments += ["--prometheus", prometheus.url]
        assert main(arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("ok      cluster: Kubernetes 1.37 at http://127.0.0.1:")
        assert "ok      clocks: Prometheus and the API server agree on the time" in lines
        assert main([*arguments, "-o", "json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["schemaVersion"], found["ok"]) == (1, True)
        server.refuse["watch canaryreleases"] = 403
        assert main(arguments) == 3
        assert "error   your rights: you may not watch" in capsys.readouterr().out
        server.refuse["*"] = 403
        assert main(arguments) == 7
        server.refuse["*"] = 503
        assert main(arguments) == 1
        assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns with room for the sentence, remedies below; colours unless NO_COLOR says not."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = io.StringIO()
    with redirect_stdout(shown):
        _print_findings(
            [
                report_ok("cluster", "well"),
                report_warning("holding", "a policy " * 12, "install it"),
            ]
        )
    assert "STATE" in shown.getvalue()
    assert "→ install it" in shown.getvalue()
    assert "\x1b[" in shown.getvalue()


def test_a_server_that_fails_in_the_middle_is_said(clinic: Clinic) -> None:
    """The API server cannot be asked at all: no half examination."""

    def hook(_verb: str, _kind: Kind, _namespace: str, _name: str) -> None:
        raise TransientError("cannot reach the API server")

    clinic.before = hook
    with pytest.raises(TransientError):
        findings(clinic)
