"""`canary operator` as a process on a real cluster: adopts, goes on after a crash, ends cleanly."""

import signal
import subprocess
import threading
from pathlib import Path

from e2e.fixtures_operator import (
    NAMESPACE,
    command,
    get,
    kubectl,
    namespace,
    operating,
    restricted_kubeconfig,
    until,
)

__all__ = ["namespace"]


def phase() -> str:
    """The release's."""
    return str(get("canaryrelease", "auth").get("status", {}).get("phase", ""))


def pods() -> set[str]:
    """Names of the stable pods."""
    return {item["metadata"]["name"] for item in get("pods", "", "-l", "app=auth")["items"]}


def weights() -> list[tuple[str, int]]:
    """What the route says."""
    (rule,) = get("httproute", "auth")["spec"]["rules"]
    return [(ref["name"], ref["weight"]) for ref in rule["backendRefs"]]


def test_release_survives_a_killed_operator(namespace: str, tmp_path: Path) -> None:
    """Adopted without a restart, held, started; killed and started again it goes on; put back."""
    log = tmp_path / "second.log"
    before = pods()
    with operating(tmp_path / "first.log") as first:
        until("adoption", lambda: phase() == "Ready")
        kubectl("set", "env", "deploy/auth", "VERSION=2", "-n", namespace)
        until("canary at 20 %", lambda: ("auth-canary", 20) in weights())
        assert pods() == before
        first.end(signal.SIGKILL)
    with operating(log) as second:
        until("the lease", lambda: second.metric("leader_election_master_status") == 1)
        assert ("auth-canary", 20) in weights()
        kubectl("delete", "canaryrelease", "auth", "-n", namespace, "--timeout=60s")
        assert weights() == [("auth", 1)]
        assert pods() == before
        until("no canary", lambda: len(get("deployments")["items"]) == 1)
        assert not get("deployment", "auth")["spec"].get("paused")
        assert second.end() == 0
    lease = get("lease", "canary-controller")
    assert lease["spec"]["holderIdentity"] == ""
    assert '"level": "error"' not in log.read_text()


def test_idle_release_writes_nothing(namespace: str, tmp_path: Path) -> None:
    """At rest, but for the lease, nothing is written, and Prometheus is not asked."""
    with operating(tmp_path / "operator.log", "--no-leader-elect") as process:
        until("adoption", lambda: phase() == "Ready")
        writes = 'rest_client_requests_total{.*method="(?:POST|PUT|PATCH|DELETE)".*}'
        until("quiet", lambda: process.metric("workqueue_depth") == 0)
        threading.Event().wait(2)  # the Event of the adoption
        written, asked = process.metric(writes), process.metric("canary_metric_queries_total")
        threading.Event().wait(20)
        assert process.metric(writes) == written > 0
        assert process.metric("canary_metric_queries_total") == asked == 0
        assert process.end() == 0
    assert namespace == NAMESPACE


def test_account_without_rights(namespace: str, tmp_path: Path) -> None:
    """One message says what to grant; exit code 7, no traceback."""
    config = restricted_kubeconfig(tmp_path / "config")
    done = subprocess.run(
        command("--kubeconfig", str(config)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert f"grant it in a Role in namespace {namespace}" in done.stderr
    assert 'resources ["canaryreleases"], verbs ["list"]' in done.stderr
    assert "Traceback" not in done.stderr
