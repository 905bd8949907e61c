"""What is installed: as few rights as possible, one wish in three forms, nothing of it by chance."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.kube.workloads.other_controllers import CONTROLLERS
from canary.manifests import build_crd

ROOT = Path(__file__).parents[2] / "manifests"
Manifest = dict[str, Any]
HELM = shutil.which("helm")
HELM_ONLY = {"app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"}


def documents(text: str) -> list[Manifest]:
    """All objects of a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document]


INSTALL = documents((ROOT / "install.yaml").read_text("utf-8"))
HOLD = documents((ROOT / "hold/policy.yaml").read_text("utf-8"))
ROLES = [item for item in INSTALL if item["kind"] in {"ClusterRole", "Role"}]


def one(kind: str, name: str = "canary") -> Manifest:
    """The one object of this kind and name."""
    (found,) = (
        item for item in INSTALL if (item["kind"], item["metadata"]["name"]) == (kind, name)
    )
    return found


POD = one("Deployment")["spec"]["template"]


def test_the_definition_is_the_generated_one() -> None:
    """install.yaml installs the CRD that the models say."""
    assert one("CustomResourceDefinition", "canaryreleases.canary-controller.dev") == build_crd()


@pytest.mark.parametrize(
    "role", [pytest.param(role, id=role["metadata"]["name"]) for role in ROLES]
)
def test_no_role_has_more_than_it_names(role: Manifest) -> None:
    """No wildcards, no Secrets, no way into a pod, no way to more rights."""
    named = {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    resources, verbs = {resource for resource, _ in named}, {verb for _, verb in named}
    assert not {"*", "secrets", "pods/exec", "serviceaccounts", "roles", "clusterroles"} & resources
    assert not {"*", "impersonate", "bind", "escalate"} & verbs
    assert not any(
        resource == "pods" and verb not in {"get", "list", "watch"} for resource, verb in named
    )


def test_what_the_operator_reads_it_may_watch_and_what_it_changes_it_patches() -> None:
    """Caches list and watch; a whole `update` would overwrite what others wrote since."""
    others = {kind.group for kind in CONTROLLERS}
    for rule in one("ClusterRole")["rules"]:
        verbs = set(rule["verbs"])
        if others.issuperset(rule["apiGroups"]):  # looked at once, before a release starts
            assert verbs == {"list"}
            continue
        assert ("watch" in verbs) == ("list" in verbs), rule
        assert "update" not in verbs or "/" in rule["resources"][0], rule


def test_the_operator_may_patch_the_ports_of_the_canarys_service() -> None:
    """They follow the user's Service in mid-release."""
    (services,) = (rule for rule in one("ClusterRole")["rules"] if "services" in rule["resources"])
    assert "patch" in services["verbs"]


def test_the_pod_keeps_to_the_restricted_standard_with_a_root_that_is_read_only() -> None:
    """The namespace enforces the standard, so a pod that breaks it would never start."""
    labels = one("Namespace", "canary-system")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert POD["spec"]["securityContext"]["runAsNonRoot"] is True
    assert POD["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["spec"]["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_selector_finds_the_pod() -> None:
    """Deployment, budget, Service, policy and spread all mean the operator's pods."""
    labels = POD["metadata"]["labels"]
    assert one("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert one("Service", "canary-metrics")["spec"]["selector"] == labels
    assert one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    (spread,) = POD["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels


def test_a_second_replica_stands_by_and_one_may_always_be_evicted() -> None:
    """With two replicas and one that may be missing, a drained node stops nothing."""
    assert one("Deployment")["spec"]["replicas"] == 2
    assert one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_the_hold_exempts_the_account_that_the_operator_runs_as() -> None:
    """Otherwise a promotion would be held as well."""
    account = one("ServiceAccount")["metadata"]
    user = f"system:serviceaccount:{account['namespace']}:{account['name']}"
    policy, binding = HOLD
    conditions = {row["name"]: row["expression"] for row in policy["spec"]["matchConditions"]}
    assert conditions["not-us"] == f"request.userInfo.username != '{user}'"
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    (rule,) = one("ClusterRole", "canary-hold-mode")["rules"]
    assert rule["resourceNames"] == [policy["metadata"]["name"]]


def test_the_hold_looks_for_the_annotation_in_the_old_object() -> None:
    """A `kubectl replace` without the annotation must not slip through."""
    conditions = {row["name"]: row["expression"] for row in HOLD[0]["spec"]["matchConditions"]}
    assert "oldObject.metadata.annotations" in conditions["guarded"]


def test_the_hold_asks_whether_the_release_is_there() -> None:
    """A release that was deleted holds nothing; a definition that was deleted refuses nothing."""
    policy, binding = (item["spec"] for item in HOLD)
    definition = build_crd()["spec"]
    version, kind = definition["versions"][0]["name"], definition["names"]["kind"]
    assert policy["paramKind"] == {"apiVersion": f"{definition['group']}/{version}", "kind": kind}
    assert binding["paramRef"] == {"selector": {}, "parameterNotFoundAction": "Allow"}
    conditions = {row["name"]: row["expression"] for row in policy["matchConditions"]}
    assert "== params.metadata.name" in conditions["guarded"]
    assert policy["failurePolicy"] == "Ignore"


def rendered(*options: str) -> list[Manifest]:
    """The chart as Helm renders it under the names of install.yaml."""
    if HELM is None:
        pytest.skip("needs helm on the PATH")
    done = subprocess.run(
        [HELM, "template", "canary", str(ROOT / "chart"), "--namespace", "canary-system",
         "--kube-version", "1.37.0", *options],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def bare(items: list[Manifest]) -> dict[tuple[str, str, str], Manifest]:
    """Objects by kind, namespace and name, without the labels that only Helm sets."""
    result = {}
    for item in items:
        meta = dict(item["metadata"])
        meta["labels"] = {k: v for k, v in meta.get("labels", {}).items() if k not in HELM_ONLY}
        key = (item["kind"], meta.get("namespace", ""), meta["name"])
        result[key] = item | {"metadata": meta}
    return result


def test_the_chart_says_what_install_yaml_says() -> None:
    """Rendered with its defaults, the chart is install.yaml without the namespace."""
    plain = bare([item for item in INSTALL if item["kind"] != "Namespace"])
    assert bare(rendered()) == plain


def test_the_chart_brings_the_hold_where_the_api_server_serves_it() -> None:
    """`auto` looks at what the cluster serves."""
    served = "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
    items = bare(rendered(served))
    assert {key: items[key] for key in bare(HOLD)} == bare(HOLD)


def test_the_chart_mounts_the_secret_of_prometheus() -> None:
    """With its address and credentials in a file, no other address is given."""
    items = bare(rendered("--set=prometheus.secret=monitoring", "--set=prometheus.ports={3128}"))
    deployment = next(one for key, one in items.items() if key[0] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert "--prometheus-config=/etc/canary/prometheus/prometheus.yaml" in container["args"]
    assert not [one for one in container["env"] if one["name"] == "CANARY_PROMETHEUS_URL"]
    mount = {"name": "prometheus", "mountPath": "/etc/canary/prometheus", "readOnly": True}
    assert mount in container["volumeMounts"]
    volume = {"name": "prometheus", "secret": {"secretName": "monitoring", "defaultMode": 0o444}}
    assert volume in pod["volumes"]
    policy = next(one for key, one in items.items() if key[0] == "NetworkPolicy")
    assert {"protocol": "TCP", "port": 3128} in policy["spec"]["egress"][0]["ports"]


def test_the_chart_protects_metrics_with_the_secrets_that_it_is_given() -> None:
    """The pod serves with them, the ServiceMonitor reads with them, and probes stay plain."""
    named = "metrics.tlsSecret=metrics-tls,metrics.tokenSecret=metrics-token,alerts.enabled=true"
    items = bare(rendered("--set", named))
    pod = items["Deployment", "canary-system", "canary"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"][1:] == [
        "--metrics-tls-cert=/etc/canary/metrics-tls/tls.crt",
        "--metrics-tls-key=/etc/canary/metrics-tls/tls.key",
        "--metrics-token-file=/etc/canary/metrics-token/token",
    ]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"metrics": 8443, "probes": 8080}
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "probes"
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    secrets = {
        one["name"]: one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one
    }
    assert secrets[mounted["/etc/canary/metrics-tls"]] == "metrics-tls"
    assert secrets[mounted["/etc/canary/metrics-token"]] == "metrics-token"
    service = items["Service", "canary-system", "canary-metrics"]
    assert service["spec"]["ports"][0]["port"] == 8443
    (endpoint,) = items["ServiceMonitor", "canary-system", "canary"]["spec"]["endpoints"]
    assert endpoint["scheme"] == "https"
    assert endpoint["tlsConfig"] == {
        "ca": {"secret": {"name": "metrics-tls", "key": "ca.crt"}},
        "serverName": "canary-metrics.canary-system.svc",
    }
    assert endpoint["authorization"] == {"credentials": {"name": "metrics-token", "key": "token"}}


def test_the_chart_for_some_namespaces_gives_no_right_in_any_other() -> None:
    """One Role for each namespace and no ClusterRole over releases."""
    items = bare(rendered("--set", "namespaces={a,b}"))
    assert ("ClusterRole", "", "canary") not in items
    rules = one("ClusterRole")["rules"]
    assert [items["Role", name, "canary"]["rules"] for name in ("a", "b")] == [rules, rules]
    args = items["Deployment", "canary-system", "canary"]["spec"]["template"]["spec"]["containers"][
        0
    ]["args"]
    assert args == ["operator", "--namespace=a", "--namespace=b"]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param("replicas=0", id="nobody would look"),
        pytest.param("replcas=2", id="a misspelt value"),
        pytest.param("holdPolicy=sometimes", id="a choice that does not exist"),
        pytest.param("prometheus.url=prometheus:9090", id="an address without its scheme"),
    ],
)
def test_the_chart_refuses_wrong_values(wrong: str) -> None:
    """A value that would be ignored, or break the operator, is an error of `helm install`."""
    if HELM is None:
        pytest.skip("needs helm on the PATH")
    done = subprocess.run(
        [HELM, "template", str(ROOT / "chart"), "--set", wrong],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "values" in done.stderr
