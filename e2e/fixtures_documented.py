"""A new user's workspace and cluster, for the commands of the documentation.

The workspace is a copy of the repository with the files that a team has: the manifests of its service
in deploy/, and its source. The cluster is what the pages assume: the service `auth` in the namespace
`prod`, under load, and Prometheus as `prometheus.monitoring:9090`, on this machine localhost:9090.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from urllib.parse import urlsplit

import yaml

from canary.kube.objects import Object
from e2e.harness import installed
from e2e.harness.auth import IMAGE, LOCKED, RESTRICTED, AuthService, host, namespace, route, service
from e2e.harness.clusters import ROOT
from e2e.harness.kubectl import apply, get, kubectl, not_ending, wait_for
from e2e.harness.load import run_load
from e2e.harness.release import KIND, POOL, ReleaseManifest, request
from tools.documented_commands import Block, read_blocks

PROD = "prod"
PROMETHEUS = "http://localhost:9090"
GUARD = ReleaseManifest(
    weights=(20, 50), hold="5s", metrics=({"name": "errors", "ratio": {"preset": "traefik"}}, POOL)
)
SOURCE = """
def find(pool, name):
    with pool.connection() as connection:
        return connection.execute("SELECT 1 WHERE name = %s", [name]).fetchone()
"""
PREAMBLE = """
grep() { command grep "$@" || [ $? = 1 ]; }  # to find nothing is an answer
canary() {
  case "$1 $*" in
    *" -w"*) timeout --signal=INT 8 canary "$@" || [ $? = 124 ] ;;  # Ctrl-C ends it
    abort*) command canary "$@" --yes ;;                            # a person answers y
    lint*--strict*) command canary "$@" || [ $? = 2 ] ;;          # 2 says that there are warnings
    status*) command canary "$@" || [[ $? = [035] ]] ;;             # 3 and 5 are states of a release
    *) command canary "$@" ;;
  esac
}
"""


def section(page: str, heading: str) -> list[Block]:
    """The blocks of one section of a page."""
    found = [block for block in read_blocks(ROOT / page) if block.heading == heading]
    assert found, f"{page} has no commands below '{heading}'"
    return found


def run(block: Block, workspace: Path, variables: Mapping[str, str] = MappingProxyType({})) -> None:
    """Runs the commands of a block one after the other, as written; the first that fails ends it.

    `variables` are set in the environment, for pages that write `$NAME`.
    """
    script = f"set -e -o pipefail\n{PREAMBLE}\n{block.script}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {
        "PATH": path,
        "NO_COLOR": "1",
        "CANARY_PROMETHEUS_URL": PROMETHEUS,
        "EDITOR": "true",
    }
    done = subprocess.run(
        ["bash", "-c", script],  # noqa: S607 - the user's shell
        cwd=workspace,
        env=os.environ | settings | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{block.script}\n{done.stdout}\n{done.stderr}"


@cache
def available(needed: str) -> bool:
    """Whether what a block needs is here: a program, or the network."""
    if needed == "network":
        return os.environ.get("CANARY_E2E_NETWORK") == "1"
    if needed == "kind" and not available("docker"):
        return False
    if shutil.which(needed) is None:
        return False
    check = [needed, "info"] if needed in {"docker", "podman"} else [needed, "version"]
    return subprocess.run(check, capture_output=True, check=False).returncode == 0


@contextmanager
def user_workspace(folder: Path) -> Iterator[Path]:
    """A copy of the repository, and a team's own files in it."""
    copy = folder / "repository"
    hidden = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT, copy, ignore=hidden)
    for name, document in team_files().items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(yaml.safe_dump(document), "utf-8")
    (copy / "src").mkdir()
    (copy / "src/store.py").write_text(SOURCE, "utf-8")
    shutil.copy(copy / "docs/examples/requests.yaml", copy / "requests.yaml")
    yield copy


def team_files() -> dict[str, Object]:
    """What a team keeps in its repository."""
    release = GUARD.manifest(PROD)
    own = {
        "deployment.yaml": AuthService(label="v1", replicas=2).deployment(PROD),
        "service.yaml": service(PROD),
        "route.yaml": route(PROD),
    }
    return {
        **{f"deploy/{name}": document for name, document in own.items()},
        "deploy/release.yaml": release,
        **{f"overlays/prod/{name}": document for name, document in own.items()},
        "overlays/prod/kustomization.yaml": {"resources": list(own)},
        "release.yaml": release,
        "auth.yaml": release,
    }


@contextmanager
def monitored() -> Iterator[None]:
    """Prometheus has the names that the pages use."""
    where = urlsplit(os.environ.get("OPERATOR_PROMETHEUS_URL") or os.environ["PROMETHEUS_URL"])
    assert where.hostname
    not_ending("monitoring")
    apply(namespace("monitoring"), *_aliases(where.hostname))
    here = urlsplit(os.environ["PROMETHEUS_URL"])
    assert here.hostname
    with ExitStack() as stack:
        stack.callback(
            kubectl, "delete", "namespace", "monitoring", "--ignore-not-found", "--wait=false"
        )
        stack.enter_context(forwarded(9090, (here.hostname, here.port or 80)))
        yield


def _aliases(address: str) -> Iterator[Object]:
    """Services `prometheus` and `prometheus-operated` that lead to this address or name."""
    for name in ("prometheus", "prometheus-operated"):
        meta = {"name": name, "namespace": "monitoring"}
        made: Object = {"apiVersion": "v1", "kind": "Service", "metadata": meta}
        if not address.replace(".", "").isdigit():
            yield made | {
                "spec": {"type": "ExternalName", "externalName": f"{address}.svc.cluster.local"}
            }
            continue
        yield made | {"spec": {"ports": [{"name": "web", "port": 9090}]}}
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": meta | {"labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address]}],
            "ports": [{"name": "web", "port": 9090}],
        }


@contextmanager
def forwarded(port: int, to: tuple[str, int]) -> Iterator[None]:
    """Connections to this port of localhost are carried to another address, as by port-forward."""
    with socket.create_server(("127.0.0.1", port)) as server:
        Thread(target=_accept, args=(server, to), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)  # close alone does not end an accept that waits


def _accept(server: socket.socket, to: tuple[str, int]) -> None:
    while True:
        try:
            near, _ = server.accept()
        except OSError:  # closed
            return
        far = socket.create_connection(to)
        for pair in ((near, far), (far, near)):
            Thread(target=_copy, args=pair, daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with sink:
        while data := source.recv(65536):
            sink.sendall(data)


@contextmanager
def serving() -> Iterator[None]:
    """The service `auth` in the namespace `prod`, under load, without a release."""
    not_ending(PROD)
    apply(namespace(PROD))
    with ExitStack() as stack:
        stack.callback(kubectl, "delete", "namespace", PROD, "--ignore-not-found", "--wait=false")
        apply(AuthService(replicas=2).deployment(PROD), service(PROD), route(PROD), _check())
        kubectl("-n", PROD, "rollout", "status", "deployment/auth", "--timeout=120s")
        stack.enter_context(run_load(host(PROD), 40.0))
        yield


def _check() -> Object:
    """The suspended CronJob of a check, as docs/spec.md asks for."""
    container = {
        "name": "smoke",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", "print('passed')"],
        "securityContext": dict(LOCKED),
    }
    pod = {"securityContext": dict(RESTRICTED), "restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": "auth-smoke",
            "namespace": PROD,
            "labels": {"canary-controller.dev/checks": "allowed"},
        },
        "spec": {
            "schedule": "0 0 1 1 *",
            "suspend": True,
            "jobTemplate": {"spec": {"template": {"spec": pod}}},
        },
    }


def status() -> Object:
    """That of the release."""
    found = get(PROD, KIND, "auth")
    return dict((found or {}).get("status") or {})


def adopt() -> None:
    """The release is there and at rest."""
    apply(GUARD.manifest(PROD))
    wait_for("adoption", lambda: bool(status().get("stableHash")), 60)


def ship(label: str) -> None:
    """A new version gets its first share of the traffic, and is paused there by a person."""
    apply(GUARD.manifest(PROD), AuthService(label=label, replicas=2).deployment(PROD))
    wait_for("a canary with traffic", lambda: bool(status().get("weight")), 240)
    kubectl("-n", PROD, "annotate", "--overwrite", KIND, "auth", request("pause"))
    wait_for("the pause", lambda: status().get("phase") == "Paused", 120)


def operator_image() -> str:
    """The image of the operator that runs."""
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    return kubectl("-n", installed.NAMESPACE, "get", "deployment", installed.NAME, "-o", path)


def remains() -> list[str]:
    """Whatever of canary the cluster has outside namespaces."""
    kinds = "crd,clusterrole,clusterrolebinding"
    policies = "mutatingadmissionpolicy,mutatingadmissionpolicybinding"
    names = kubectl("get", f"{kinds},{policies}", "-o", "name").split()
    return [name for name in names if name.rpartition("/")[2].startswith("canary")]


def empty_cluster() -> None:
    """Removes what another run has left."""
    not_ending(installed.NAMESPACE)
    if names := remains():
        kubectl("delete", "--ignore-not-found", f"namespace/{installed.NAMESPACE}", *names)
