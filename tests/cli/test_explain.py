"""`canary explain`: the whole answer in every situation, and what it needs beside the release."""

import json
from pathlib import Path

import pytest

from canary.kube.objects import DEPLOYMENTS, PODS, REPLICA_SETS, Kind, Object
from canary.kube.objects import TRAEFIK_SERVICES as ROUTES
from canary.kube.workloads.names import RESTARTED_AT, STABLE, STABLE_SET
from tests.cli.conftest import Run
from tests.cli.releases import SITUATIONS, store_release
from tests.kube.api_server import BY_PATH, ApiServer
from tests.kube.fake_cluster import FakeCluster

GOLDEN = Path(__file__).parent / "golden"
TEMPLATE = {"metadata": {"labels": {"app": "auth"}}, "spec": {"containers": []}}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_whole_answer(situation: str, server: ApiServer, run: Run) -> None:
    """Why, until when, what the figures are, and what can be done: golden files."""
    furnish(server.cluster)
    store_release(server.cluster, situation)
    found = run("explain", "auth")
    assert (found.code, found.err) == (0, "")
    assert found.out == (GOLDEN / f"explain-{situation.replace(' ', '-')}.txt").read_text("utf-8")


def test_promql_and_commands_stay_in_one_piece(server: ApiServer, run: Run) -> None:
    """What is to be pasted is never wrapped, however narrow the terminal."""
    furnish(server.cluster)
    store_release(server.cluster, "rolled back")
    lines = [line.strip() for line in run("explain", "auth").out.splitlines()]
    query = (
        r'sum by (service, instance) (traefik_service_requests_total{service=~"prod-auth(-\\w+)?'
    )
    assert any(line.startswith(query[:60]) and line.endswith(")") for line in lines)
    assert any(
        "canary retry auth -n prod  # retries the rejected template" in line for line in lines
    )


def test_the_document(server: ApiServer, run: Run) -> None:
    """Machines get the same: figures, queries, pods, commands, runbook."""
    furnish(server.cluster)
    store_release(server.cluster, "rolled back")
    found = json.loads(run("explain", "auth", "-o", "json").out)
    assert (found["schemaVersion"], found["reason"]) == (1, "WorseThanStable")
    assert found["rejected"]["startedAt"] == "2027-01-15T07:45:00Z"
    metric = found["metrics"][0]
    assert (metric["ratio"], metric["ratioLow"], metric["ratioHigh"]) == (7.8, 3.2, 18.4)
    assert [one["key"] for one in found["queries"]] == ["errors.total", "errors.bad"]
    assert found["pods"][0] == {"name": "auth-canary-6d5f8-abcde", "state": "gone"}
    assert found["commands"][0]["command"] == "canary retry auth -n prod"
    assert found["runbook"].endswith("/WorseThanStable")


def test_without_rights_to_look_around(server: ApiServer, run: Run) -> None:
    """The release alone still is an answer; the note says what to grant."""
    furnish(server.cluster)
    store_release(server.cluster, "rolled back")
    server.refuse["get deployments"] = 403
    found = run("explain", "auth")
    assert found.code == 0
    assert "pods and queries are not available: cannot get deployments auth" in " ".join(
        found.out.split()
    )
    assert "56 of 6,027 bad" in found.out


def test_pods_of_the_canary_that_are_there(server: ApiServer, run: Run) -> None:
    """While the canary lives its pods are shown as they are."""
    furnish(server.cluster)
    owner = store_release(server.cluster, "progressing")["metadata"]["uid"]
    workload(server.cluster, "auth-canary", owner, ["auth-canary-1"], restarts=3)
    assert "pod        auth-canary-1: CrashLoop, restarted 3 times\n" in run("explain", "auth").out


def test_c11_a_restart_is_told_from_a_new_version(server: ApiServer, run: Run) -> None:
    """Image and command are the same: it is the ConfigMap, which no rollback brings back."""
    furnish(server.cluster)
    store_release(server.cluster, "rolled back")
    reads = {"envFrom": [{"configMapRef": {"name": "auth-config"}}], "name": "auth", "image": "a:1"}
    vetted = {"metadata": {"labels": {"app": "auth"}}, "spec": {"containers": [reads]}}
    kept = server.cluster.get(REPLICA_SETS, "prod", "auth-7d4f")
    found = server.cluster.get(DEPLOYMENTS, "prod", "auth")
    assert kept is not None
    assert found is not None
    kept["spec"]["template"] = vetted
    server.cluster.put(REPLICA_SETS, kept)
    at = {"annotations": {RESTARTED_AT: "2027-01-15T07:44:00Z"}}
    found["spec"]["template"] = {**vetted, "metadata": vetted["metadata"] | at}
    found["metadata"]["annotations"] = {STABLE: "0a1b2c3d4e5f", STABLE_SET: "auth-7d4f"}
    server.cluster.put(DEPLOYMENTS, found)
    said = " ".join(run("explain", "auth").out.split())
    assert "differs from the stable one only by the restart annotation" in said
    assert "it reads ConfigMap auth-config, whose content is not part of the template" in said


def furnish(cluster: FakeCluster) -> None:
    """The Deployment with two pods, and the route."""
    workload(cluster, "auth", None, ["auth-7d4f-aaaaa", "auth-7d4f-bbbbb"])
    spec = {"weighted": {"services": [{"name": "auth", "port": 80}]}}
    put_object(cluster, ROUTES, "auth", {"spec": spec})


def workload(
    cluster: FakeCluster, name: str, owner: str | None, pods: list[str], restarts: int = 0
) -> None:
    """A Deployment with its ReplicaSet and pods."""
    selector = {"matchLabels": {"app": name}}
    spec = {"replicas": len(pods), "selector": selector, "template": TEMPLATE}
    deployment = put_object(cluster, DEPLOYMENTS, name, {"spec": spec}, owner, labels={"app": name})
    uid = deployment["metadata"]["uid"]
    made = put_object(
        cluster, REPLICA_SETS, f"{name}-7d4f", {"spec": spec}, uid, labels={"app": name}
    )
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}} if restarts else {}
    status = {
        "phase": "Running",
        "containerStatuses": [{"restartCount": restarts, "state": waiting}],
    }
    for pod in pods:
        put_object(
            cluster, PODS, pod, {"status": status}, made["metadata"]["uid"], labels={"app": name}
        )


def put_object(  # noqa: PLR0913, PLR0917 - what an object is made of
    cluster: FakeCluster,
    kind: Kind,
    name: str,
    body: Object,
    owner: str | None = None,
    labels: dict[str, str] | None = None,
) -> Object:
    """An object in prod, controlled by `owner`."""
    BY_PATH.setdefault((kind.group, kind.version, kind.plural), kind)
    metadata: Object = {"name": name, "namespace": "prod", "labels": labels or {}}
    if owner is not None:
        metadata["ownerReferences"] = [{"uid": owner, "controller": True, "name": "x", "kind": "X"}]
    return cluster.put(kind, {"metadata": metadata, **body})
