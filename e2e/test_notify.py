"""Notifications on a real API server: an account with the rights of manifests/, and one Secret."""

import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from canary.kube.workloads.names import REQUEST
from e2e.fixtures_operator import get, kubectl, namespace, operating, until

__all__ = ["namespace"]

ROOT = Path(__file__).parents[1]
SENTINEL = "S3NT1N3L"
ACCOUNT = "operator"


class Chat(ThreadingHTTPServer):
    """Takes every message."""

    daemon_threads = True

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.messages: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Chat

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.paths.append(self.path)
        self.server.messages.append(body["text"])
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def chat() -> Iterator[Chat]:
    """At work."""
    server = Chat()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


def account(namespace: str, file: Path) -> Path:
    """A kubeconfig of an account with the operator's rights in this namespace, and no other."""
    documents = list(yaml.safe_load_all((ROOT / "manifests/operator/rbac.yaml").read_text("utf-8")))
    rules = [
        rule
        for item in documents
        if item["kind"] in {"ClusterRole", "Role"}
        and item["metadata"]["name"] in {"canary", "canary-lease"}
        for rule in item["rules"]
    ]
    rbac = "rbac.authorization.k8s.io"
    meta = {"name": ACCOUNT, "namespace": namespace}
    subject = {"kind": "ServiceAccount", **meta}
    role = {"apiGroup": rbac, "kind": "Role", "name": ACCOUNT}
    items = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": role,
            "subjects": [subject],
        },
    ]
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(items))
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--flatten", "--minify"))
    token = kubectl("create", "token", ACCOUNT, "-n", namespace).strip()
    config["users"][0]["user"] = {"token": token}
    file.write_text(yaml.safe_dump(config))
    return file


def may_read_the_secret(namespace: str) -> None:
    """As docs/examples/notify/role.yaml has it."""
    text = (ROOT / "docs/examples/notify/role.yaml").read_text("utf-8")
    role, binding = yaml.safe_load_all(text)
    for item in (role, binding):
        item["metadata"]["namespace"] = namespace
    binding["subjects"] = [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}]
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([role, binding]))


def ask(verb: str, namespace: str) -> None:
    """A person's request."""
    note = f"{REQUEST}={json.dumps({'verb': verb, 'id': verb})}"
    kubectl("annotate", "canaryrelease", "auth", "-n", namespace, note)


def test_a_release_tells_when_one_secret_may_be_read(namespace: str, tmp_path: Path) -> None:
    """Without the Role an Event says what to grant; with it the message comes; no secret is seen."""
    log = tmp_path / "operator.log"
    config = account(namespace, tmp_path / "config")
    entry = {"slack": {"secretRef": {"name": "hooks", "key": "slack"}}}
    wanted = {"spec": {"notify": [{**entry, "groups": ["start", "rollback"]}]}}
    with chat() as server:
        address = f"http://127.0.0.1:{server.server_port}/services/{SENTINEL}"
        secret = ("create", "secret", "generic", "hooks", f"--from-literal=slack={address}")
        kubectl(*secret, "-n", namespace)
        patch = ("patch", "canaryrelease", "auth", "--type=merge", "-p", json.dumps(wanted))
        kubectl(*patch, "-n", namespace)
        with operating(log, "--kubeconfig", str(config), "--log-level", "debug") as process:
            until(
                "adoption",
                lambda: get("canaryrelease", "auth").get("status", {}).get("phase") == "Ready",
            )
            kubectl("set", "env", "deploy/auth", "VERSION=2", "-n", namespace)
            refused = 'canary_notification_deliveries_total{.*result="refused".*}'
            until("a message that is refused", lambda: process.metric(refused) == 1)
            until("an Event", lambda: "NotificationFailed" in str(get("events")))
            assert "grant it in a Role" in str(get("events"))
            assert server.messages == []
            may_read_the_secret(namespace)
            ask("abort", namespace)
            until("the message", lambda: len(server.messages) == 1)
            assert process.end() == 0
    (told,) = server.messages
    assert told.startswith("auth rolled back")
    assert "a person aborted the release" in told.lower()
    assert server.paths == [f"/services/{SENTINEL}"]
    seen = [get("events"), get("canaryreleases"), log.read_text()]
    assert SENTINEL not in str(seen)
