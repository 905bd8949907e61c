"""A cluster to try canary on: `make kind`, `make kind-release V=leak`, `make kind-down`.

The service `auth` in the namespace `prod` under 50 requests/s, guarded by a release with short times.
On a cluster of kind's that is kept; or, where KUBECONFIG, GATEWAY_URL and PROMETHEUS_URL are set, on
that one: then only the namespaces `prod`, `e2e-postgres`, `grafana` and `canary-system` are used.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from subprocess import CalledProcessError
from urllib.parse import urlsplit

import yaml

from canary.demo.load.accounts import PASSWORD
from canary.kube.objects import Object
from e2e.harness import installed
from e2e.harness.auth import LOCKED, NAME, RESTRICTED, AuthService, host, namespace, route, service
from e2e.harness.clusters import (
    ROOT,
    NoClusterError,
    container_engine,
    create_kind,
    delete_kind,
    use_kind,
)
from e2e.harness.grafana import NAMESPACE as GRAFANA
from e2e.harness.grafana import grafana
from e2e.harness.kubectl import KubectlError, apply, get, kubectl, wait_for
from e2e.harness.postgres import NAMESPACE as POSTGRES
from e2e.harness.postgres import USERS, start_postgres
from e2e.harness.release import ERRORS, KIND, POOL, REFUSED, SLOW, ReleaseManifest

CLUSTER = "canary"
KUBECONFIG = ROOT / ".venv" / "kind.kubeconfig"
PLACE = "prod"
FLAWS: Mapping[str, str] = {
    "good": "good",
    "leak": "leak",
    "errors": "errors:0.2",
    "slow": "slow:0.75",
    "refuse": "refuse",
}
"""What is wrong with a version, by the name that people give."""
_ENDED = {"Ready", "RolledBack"}
GUARD = ReleaseManifest(metrics=(ERRORS, REFUSED, SLOW, POOL), bake="1m", patience="5m")
SERVICE = AuthService(leak_every=30)
"""A leaking version loses a connection in 30 logins: a release of two minutes has to see it."""


def up() -> None:
    """Creates what is missing; safe to run again."""
    if not _given():
        if KUBECONFIG.exists():
            use_kind(KUBECONFIG)
        else:
            create_kind(CLUSTER, KUBECONFIG, container_engine())
    _say("operator")
    installed.install(())
    _say("Grafana with the dashboards of canary; its image is pulled meanwhile")
    apply(*grafana(os.environ.get("OPERATOR_PROMETHEUS_URL") or os.environ["PROMETHEUS_URL"]))
    _say("PostgreSQL, the service auth v1, its route and its load")
    start_postgres()
    apply(namespace(PLACE))
    if get(PLACE, "deployment", NAME) is None:
        apply(SERVICE.deployment(PLACE))
    apply(service(PLACE), route(PLACE))
    kubectl("-n", PLACE, "rollout", "status", f"deployment/{NAME}", "--timeout=180s")
    apply(*_load())  # last: errors of the start would count as what stable usually does
    apply(GUARD.manifest(PLACE))
    wait_for("the release to adopt the Deployment", lambda: _phase() == "Ready", 60)
    given = "" if _given() else f"export KUBECONFIG={KUBECONFIG}\n"
    sys.stdout.write(
        f"\nready. Next:\n{given}make kind-release V=good   # or {', '.join(list(FLAWS)[1:])}\n"
        f"canary status {NAME} -n {PLACE} -w\n"
        f"kubectl -n {GRAFANA} port-forward service/grafana 3000   # http://localhost:3000\n"
    )


def release(flaw: str) -> None:
    """Deploys the next version, with this flaw."""
    _use_cluster()
    found = get(PLACE, "deployment", NAME)
    if found is None:
        raise NoClusterError("there is no Deployment prod/auth: run `make kind` first")
    label = f"v{int(found['metadata']['generation']) + 1}"
    apply(SERVICE.next(label, FLAWS[flaw]).deployment(PLACE))
    # `canary status -w` would end at once while the operator has not seen the template.
    wait_for("the operator to start the release", lambda: _phase() not in _ENDED, 30)
    sys.stdout.write(f"deployed {label} ({flaw}); follow it: canary status {NAME} -n {PLACE} -w\n")


def down() -> None:
    """Deletes the cluster of kind's, or what `up` created in a given one."""
    if not _given():
        container_engine()
        delete_kind(CLUSTER, KUBECONFIG)
        return
    kubectl("-n", PLACE, "delete", KIND, "--all", "--timeout=150s")
    kubectl("delete", "namespace", PLACE, POSTGRES, GRAFANA, "--ignore-not-found", "--wait=false")
    installed.uninstall()


def _use_cluster() -> None:
    """The environment names the cluster of `up`."""
    if not _given():
        if not KUBECONFIG.exists():
            raise NoClusterError(f"there is no cluster ({KUBECONFIG}): run `make kind` first")
        use_kind(KUBECONFIG)


def _given() -> bool:
    """Whether the person names a cluster; a KUBECONFIG alone is not enough."""
    names = ("KUBECONFIG", "GATEWAY_URL", "PROMETHEUS_URL")
    ours = os.environ.get("KUBECONFIG") == str(KUBECONFIG)
    return not ours and all(os.environ.get(name) for name in names)


def _phase() -> str | None:
    found = get(PLACE, KIND, NAME) or {}
    phase: str | None = (found.get("status") or {}).get("phase")
    return phase


def _say(what: str) -> None:
    sys.stdout.write(f"== {what}\n")
    sys.stdout.flush()


def _load() -> Sequence[Object]:
    """`canary loadtest`, again and again, through the gateway."""
    gateway = os.environ["GATEWAY_URL"] if _given() else "http://traefik.lab.svc:8000"
    address = urlsplit(gateway).hostname or ""
    login = {"method": "POST", "path": "/login", "headers": {"Host": host(PLACE)},
             "json": {"user": "{{ user }}", "password": PASSWORD}}  # fmt: skip
    data = {"count": USERS, "fields": {"user": "user-{{ row }}"}, "order": "random"}
    text = yaml.safe_dump({"requests": [{"name": "login", **login}], "data": data})
    meta = {"name": "load", "namespace": PLACE}
    options = (
        "--rate=50",
        "--duration=1h",
        "--max-error-ratio=100%",
        "--requests=/load/requests.yaml",
    )
    container = {
        "name": "load",
        "image": installed.IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["loadtest", gateway, *options, f"--allow-host={address}"],
        "securityContext": dict(LOCKED),
        "volumeMounts": [
            {"name": "load", "mountPath": "/load"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - inside the pod
        ],
    }
    spec = {
        "securityContext": dict(RESTRICTED),
        "containers": [container],
        "volumes": [
            {"name": "load", "configMap": {"name": "load"}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    labels = {"app": "load"}
    return (
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {"requests.yaml": text},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        },
    )


def main() -> int:
    """0 when it is done; 1 with a message when not."""
    parser = argparse.ArgumentParser(prog="e2e.playground", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("up")
    actions.add_parser("release").add_argument("version", choices=FLAWS)
    actions.add_parser("down")
    chosen = parser.parse_args()
    try:
        match chosen.action:
            case "up":
                up()
            case "release":
                release(chosen.version)
            case _:
                down()
    except (NoClusterError, KubectlError, TimeoutError, CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
