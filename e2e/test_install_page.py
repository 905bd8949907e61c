"""docs/install.md followed word by word: each way to install, upgrade and uninstall, on an empty cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from canary import __version__
from e2e.fixtures_documented import (
    adopt,
    available,
    empty_cluster,
    monitored,
    operator_image,
    remains,
    run,
    section,
    serving,
    ship,
    user_workspace,
)
from e2e.harness import installed
from e2e.harness.clusters import ROOT
from e2e.harness.kubectl import KubectlError, get, kubectl, wait_for
from e2e.harness.postgres import start_postgres

PAGE = "docs/install.md"
OURS = f"registry.example/canary-controller:{__version__}"
"""The image of the page's examples."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clone of the repository, the names of Prometheus, and a service under load."""
    start_postgres()
    with user_workspace(tmp_path_factory.mktemp("user")) as folder, monitored(), serving():
        yield folder


@pytest.fixture(autouse=True)
def nothing_installed() -> None:
    """The test before may have failed half-way."""
    empty_cluster()


def follow(heading: str, workspace: Path) -> None:
    """Runs a section's commands."""
    for block in section(PAGE, heading):
        run(block, workspace)


@pytest.mark.parametrize("method", ["Helm", "kustomize"])
def test_installed_upgraded_and_uninstalled(method: str, workspace: Path) -> None:
    """The image is the user's, a second time is an upgrade, and at the end nothing is left."""
    if method == "Helm" and not available("helm"):
        pytest.skip("needs helm")
    follow(method, workspace)
    follow("Check the installation", workspace)
    assert operator_image() == OURS
    adopt()
    follow(method, workspace)
    follow("Uninstall", workspace)
    follow(f"Uninstall with {method}", workspace)
    assert remains() == []


def test_plain_yaml_after_kubectl_set(workspace: Path) -> None:
    """A conflict is reported, and both ways out of it work."""
    follow("Plain YAML", workspace)
    follow("Check the installation", workspace)
    system = ("-n", installed.NAMESPACE)
    kubectl(*system, "set", "image", "deployment/canary", f"operator={OURS}")
    kubectl(
        *system, "set", "env", "deployment/canary", "CANARY_PROMETHEUS_URL=http://elsewhere:9090"
    )
    with pytest.raises(KubectlError, match=r'conflicts? with "kubectl-set"'):
        kubectl("apply", "--server-side", "-f", str(ROOT / "manifests/install.yaml"))
    follow("Upgrade", workspace)
    assert operator_image() == f"canary-controller:{__version__}"
    follow("kustomize", workspace)
    assert operator_image() == OURS
    follow("Uninstall", workspace)
    follow("Uninstall with plain YAML", workspace)
    assert remains() == []


def test_an_operator_that_was_uninstalled_first(workspace: Path) -> None:
    """By hand: the release goes, and the Deployment rolls."""
    follow("Plain YAML", workspace)
    follow("Check the installation", workspace)
    adopt()
    ship("v2")
    installed.scale(0)
    wait_for("no operator", lambda: not installed.pods(), 60)
    kubectl("-n", "prod", "delete", "canaryrelease", "auth", "--wait=false")
    follow("If the operator was uninstalled first", workspace)
    wait_for("the release to go", lambda: get("prod", "canaryrelease", "auth") is None, 30)
    kubectl("-n", "prod", "rollout", "status", "deployment/auth", "--timeout=120s")
    follow("Uninstall with plain YAML", workspace)
    assert remains() == []
