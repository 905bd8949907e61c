"""The cluster that the tests run on: KUBECONFIG's, else one of kind's that is made and deleted."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from canary import __version__

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
IMAGES: Mapping[str, str] = {
    "localhost/canary:lab": "Dockerfile",
    "localhost/canary-auth:lab": "e2e/images/auth/Dockerfile",
    # As docs/install.md names it.
    f"canary-controller:{__version__}": "Dockerfile",
    f"registry.example/canary-controller:{__version__}": "Dockerfile",
}
GATEWAY_API = (
    "https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.1/standard-install.yaml"
)
KIND = "canary-e2e"
MONITORING = "kubectl -n lab scale deployment/prometheus --replicas={}"


class NoClusterError(RuntimeError):
    """There is none to be had; the message says why."""


@contextmanager
def cluster() -> Iterator[None]:
    """KUBECONFIG, GATEWAY_URL and PROMETHEUS_URL are set while the block runs.

    Raises:
        NoClusterError: no KUBECONFIG, and no kind with a container engine.
    """
    if os.environ.get("KUBECONFIG"):
        missing = {"GATEWAY_URL", "PROMETHEUS_URL"} - os.environ.keys()
        if missing:
            raise NoClusterError(f"KUBECONFIG is set, but {' and '.join(sorted(missing))} not")
        yield
        return
    with _kind(container_engine()):
        yield


@contextmanager
def _kind(engine: str) -> Iterator[None]:
    kubeconfig = ROOT / ".venv" / "e2e.kubeconfig"
    try:
        create_kind(KIND, kubeconfig, engine)
        yield
    finally:
        delete_kind(KIND, kubeconfig)


def create_kind(name: str, kubeconfig: Path, engine: str) -> None:
    """Creates a cluster with our images, the Gateway API, Traefik and Prometheus.

    KUBECONFIG, GATEWAY_URL and PROMETHEUS_URL are set afterwards.
    """
    if engine == "podman":
        os.environ["KIND_EXPERIMENTAL_PROVIDER"] = "podman"
    _run("kind", "create", "cluster", "--name", name, "--kubeconfig", str(kubeconfig),
         "--config", str(HERE / "kind.yaml"), "--wait", "120s")  # fmt: skip
    use_kind(kubeconfig)
    for image, file in IMAGES.items():
        _run(engine, "build", "-t", image, "-f", str(ROOT / file), str(ROOT))
        _load(name, image, engine)
    _run("kubectl", "apply", "--server-side", "-f", GATEWAY_API)
    _run("kubectl", "apply", "--server-side", "-f", str(HERE / "stack.yaml"))
    _run("kubectl", "-n", "lab", "create", "configmap", "prometheus-rules",
         f"--from-file={ROOT / 'manifests/monitoring/rules.yaml'}")  # fmt: skip
    _run("kubectl", "-n", "lab", "wait", "deployment", "--all", "--for=condition=Available",
         "--timeout=180s")  # fmt: skip


def use_kind(kubeconfig: Path) -> None:
    """Sets what the environment says of a cluster of ours."""
    os.environ |= {
        "KUBECONFIG": str(kubeconfig),
        "GATEWAY_URL": "http://127.0.0.1:30800",
        "PROMETHEUS_URL": "http://127.0.0.1:30900",
        "OPERATOR_PROMETHEUS_URL": "http://prometheus.lab:9090",
        "ROUTER_METRICS_URL": "http://traefik.lab:8081/metrics",
        "CANARY_E2E_MONITORING_STOP": MONITORING.format(0),
        "CANARY_E2E_MONITORING_START": MONITORING.format(1),
    }


def delete_kind(name: str, kubeconfig: Path) -> None:
    """Deletes the cluster and its kubeconfig file."""
    _run("kind", "delete", "cluster", "--name", name)
    kubeconfig.unlink(missing_ok=True)


def container_engine() -> str:
    """Docker or podman.

    Raises:
        NoClusterError: neither is installed, or kind is not.
    """
    engine = next(filter(shutil.which, ("docker", "podman")), None)
    if engine is None or shutil.which("kind") is None:
        found = f"found {engine or 'neither docker nor podman'}"
        found += "" if shutil.which("kind") else ", and no kind"
        raise NoClusterError(
            f"expected kind and docker or podman on the PATH, {found}; for a cluster that you have, "
            "set KUBECONFIG, GATEWAY_URL and PROMETHEUS_URL"
        )
    return engine


def _load(cluster: str, image: str, engine: str) -> None:
    """As an archive: `kind load docker-image` does not find images of podman."""
    with TemporaryDirectory() as folder:
        archive = f"{folder}/image.tar"
        _run(engine, "save", "-o", archive, image)
        _run("kind", "load", "image-archive", archive, "--name", cluster)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
