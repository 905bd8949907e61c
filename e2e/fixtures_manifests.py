"""kubectl on the cluster of KUBECONFIG, for tests of what is installed."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = f"mani-{os.getpid()}"
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def kubectl(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """What kubectl answered; it does not raise when the API server refuses."""
    return subprocess.run(
        ["kubectl", *arguments],  # noqa: S607 - whichever kubectl the person uses
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="session")
def cluster() -> Iterator[Kubectl]:
    """kubectl, with our CRD and a namespace for tests in the cluster."""
    if not os.environ.get("KUBECONFIG") or shutil.which("kubectl") is None:
        pytest.skip("needs kubectl and a cluster in KUBECONFIG")
    crd = str(ROOT / "manifests/crd.yaml")
    applied = kubectl("apply", "--server-side", "--force-conflicts", "-f", crd)
    assert applied.returncode == 0, applied.stderr
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", crd)
    kubectl("create", "namespace", NAMESPACE)
    yield kubectl
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")
