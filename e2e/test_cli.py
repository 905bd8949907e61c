"""The release engineer's commands against a real API server, on a status that the test writes.

Needs KUBECONFIG of an administrator; installs the definition where it is absent, and leaves it. An
operator may be running: what it wrote in between is written over, and the command run again.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.kube.releases import parse_request
from e2e.fixtures_operator import kubectl, until
from tests.cli.releases import NOW, SITUATIONS
from tests.cli.releases import build_release as sample

NAMESPACE = f"people-{os.getpid()}"
RAW = f"/apis/canary-controller.dev/v1alpha1/namespaces/{NAMESPACE}/canaryreleases/auth/status"
CODES = {"ready": 0, "progressing": 0, "approval": 5, "paused": 5, "rolling back": 3, "promoted": 0}
AGAIN = 20


@pytest.fixture(scope="module", autouse=True)
def namespace() -> Iterator[None]:
    """A namespace with one CanaryRelease, whose Deployment does not exist."""
    if not os.environ.get("KUBECONFIG") or shutil.which("kubectl") is None:
        pytest.skip("a cluster is needed: set KUBECONFIG, and have kubectl on PATH")
    if not kubectl("get", "crd", "canaryreleases.canary-controller.dev", "--ignore-not-found"):
        kubectl("apply", "--server-side", "-f", "-", stdin=canary("manifests", "crd").stdout)
        name = "crd/canaryreleases.canary-controller.dev"
        kubectl("wait", "--for=condition=Established", name, "--timeout=30s")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump(body))
    manifest = {key: value for key, value in sample(namespace=NAMESPACE).items() if key != "status"}
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifest))
    yield
    kubectl(
        "delete", "canaryrelease", "auth", "-n", NAMESPACE, "--ignore-not-found", "--wait=false"
    )
    patch = '{"metadata": {"finalizers": null}}'
    subprocess.run(
        ["kubectl", "patch", "cnr", "auth", "-n", NAMESPACE, "--type=merge", "-p", patch],  # noqa: S607
        capture_output=True,
        check=False,
        timeout=30,
    )
    kubectl("delete", "namespace", NAMESPACE, "--timeout=90s")


def canary(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program in a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "canary", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=60,
        check=False,
    )


def shifted(value: Any) -> Any:
    """The sample with its times moved to the present."""
    if isinstance(value, dict):
        return {key: shifted(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shifted(one) for one in value]
    recent = isinstance(value, float) and value > NOW - 1e6
    return value - NOW + time.time() if recent else value  # noqa: TID251 - the cluster's clock


def write(situation: str) -> None:
    """Somebody who may write the status does."""
    for _ in range(AGAIN):
        body = json.loads(kubectl("get", "canaryrelease", "auth", "-n", NAMESPACE, "-o", "json"))
        body["status"] = shifted(SITUATIONS[situation])
        done = subprocess.run(
            ["kubectl", "replace", "--raw", RAW, "-f", "-"],  # noqa: S607
            input=json.dumps(body),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode == 0:
            return
    raise AssertionError(done.stderr)


def there() -> Any:
    """The build_release as it is now."""
    return json.loads(kubectl("get", "canaryrelease", "auth", "-n", NAMESPACE, "-o", "json"))


def seen(situation: str, *command: str) -> subprocess.CompletedProcess[str]:
    """The command on a release that was in this situation before and after it."""
    wanted = SITUATIONS[situation]
    for _ in range(AGAIN):
        write(situation)
        done = canary(*command, "-n", NAMESPACE)
        status = there()["status"]
        if all(status[key] == wanted[key] for key in ("phase", "reason")):
            return done
    raise AssertionError(f"somebody else writes the status too often; last: {done}")


def test_releases_are_listed() -> None:
    """As a table, by labels and by name; all namespaces as well."""
    done = seen("progressing", "get")
    assert done.returncode == 0, done.stderr
    head, row = done.stdout.splitlines()
    assert head.split() == ["NAME", "PHASE", "STEP", "WEIGHT", "VERDICT", "REASON", "AGE"]
    assert row.split()[:6] == ["auth", "Progressing", "2/3", "25%", "Continue", "GatheringEvidence"]
    name = "canaryrelease.canary-controller.dev/auth\n"
    assert canary("list", "-n", NAMESPACE, "-l", "team=id", "-o", "name").stdout == name
    assert canary("list", "-n", NAMESPACE, "-l", "team!=id", "-o", "name").stdout == ""
    assert NAMESPACE in canary("get", "-A").stdout
    assert canary("get", "-n", NAMESPACE, "-l", "a===b").returncode == 2


@pytest.mark.parametrize("situation", CODES)
def test_status_says_how_it_is(situation: str) -> None:
    """With the exit code of the situation."""
    done = seen(situation, "status", "auth")
    assert done.returncode == CODES[situation], done.stderr
    assert done.stdout.startswith(f"── {NAMESPACE}/auth ─")


def test_status_w_leaves_with_the_end() -> None:
    """In a pipe, from one watch, until the release was rolled back: exit code 3."""
    write("progressing")
    child = subprocess.Popen(
        [sys.executable, "-m", "canary", "status", "auth", "-w", "-n", NAMESPACE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline().startswith(f"{NAMESPACE}/auth phase=Progressing")
    write("rolled back")
    out, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (3, "")
    last = f"{NAMESPACE}/auth: RolledBack (WorseThanStable), peak weight 25 %, 56 errors served"
    assert out.splitlines()[-1] == last


def test_explain_after_a_rollback() -> None:
    """Figures of both versions, evidence, pods that are gone, what can be done, the runbook."""
    out = seen("rolled back", "explain", "auth").stdout
    for part in (
        "56 of 6,027 bad: 0.93 % (0.72 % to 1.2 %)",
        "evidence 812; it fails at 100",
        "auth-canary-6d5f8-abcde: gone",
        f"canary retry auth -n {NAMESPACE}",
        "/WorseThanStable",
    ):
        assert part in out


def test_requests_are_checked_written_and_refused() -> None:
    """A server dry run keeps nothing, --yes writes what the operator reads, nonsense is exit 2."""
    before = there()["metadata"].get("annotations", {}).get("canary-controller.dev/request")
    done = seen("progressing", "pause", "auth", "--dry-run=server", "-o", "name")
    assert done.stdout == "canaryrelease.canary-controller.dev/auth\n", done.stderr
    assert there()["metadata"]["annotations"].get("canary-controller.dev/request") == before
    assert seen("progressing", "resume", "auth", "--yes").returncode == 2
    assert seen("progressing", "abort", "auth").returncode == 2
    done = seen("paused", "resume", "auth", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    asked = there()["metadata"]["annotations"]["canary-controller.dev/request"]
    assert parse_request(asked).verb == "resume"


def test_a_report_is_written(tmp_path: Path) -> None:
    """From the history alone, where there is no Prometheus."""
    file = tmp_path / "report.html"
    done = seen("rolled back", "report", "auth", "-f", str(file))
    assert done.returncode == 0, done.stderr
    assert "56 of 6,027 requests to the canary failed" in file.read_text("utf-8")


def test_wrong_names() -> None:
    """What there is instead, and exit code 7."""
    done = canary("status", "auht", "-n", NAMESPACE)
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.endswith("did you mean auth?\n")
    done = canary("status", "auth", "-n", "people-e2")
    assert done.returncode == 7
    assert f"there is no namespace people-e2; did you mean {NAMESPACE}?" in done.stderr
    done = canary("get", "--context", "nowhere")
    assert done.returncode == 7
    assert "there is no context nowhere" in done.stderr


def test_accounts_without_rights(tmp_path: Path) -> None:
    """Forbidden and not accepted: one line each, exit code 7."""
    kubectl("create", "serviceaccount", "nobody", "-n", NAMESPACE)
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--flatten", "--minify"))
    token = kubectl("create", "token", "nobody", "-n", NAMESPACE).strip()
    for name, secret in (("forbidden", token), ("expired", "not.a.token")):
        config["users"][0]["user"] = {"token": secret}
        (tmp_path / name).write_text(yaml.safe_dump(config))
    done = canary("get", "-n", NAMESPACE, "--kubeconfig", str(tmp_path / "forbidden"))
    assert (done.returncode, len(done.stderr.splitlines())) == (7, 1)
    assert 'verbs ["list"]' in done.stderr
    done = canary("get", "-n", NAMESPACE, "--kubeconfig", str(tmp_path / "expired"))
    assert (done.returncode, len(done.stderr.splitlines())) == (7, 1)
    assert "missing, invalid or expired" in done.stderr


def test_as_a_plugin_of_kubectl() -> None:
    """`kubectl canary` runs, and kubectl completes names."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    until("the release", lambda: "auth" in canary("get", "-n", NAMESPACE).stdout)
    done = subprocess.run(
        ["kubectl", "canary", "get", "-n", NAMESPACE, "-o", "name"],  # noqa: S607
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
        timeout=60,
        check=False,
    )
    assert done.stdout == "canaryrelease.canary-controller.dev/auth\n", done.stderr
    done = subprocess.run(
        ["kubectl", "__complete", "canary", "status", "-n", NAMESPACE, ""],  # noqa: S607
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == ["auth", ":4"], done.stderr
