"""The API server in memory behind HTTP, as far as a gate asks it: get, list and watch."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from canary.errors import CanaryError
from canary.kube.objects import DEPLOYMENTS, LEASES, RELEASES, REPLICA_SETS
from tests.kube.fake_cluster import FakeCluster

KINDS = {kind.plural: kind for kind in (DEPLOYMENTS, LEASES, RELEASES, REPLICA_SETS)}


class GateApiServer(ThreadingHTTPServer):
    """Serves one fake cluster; `refuse` maps a plural to an HTTP status code."""

    daemon_threads = True

    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cluster = cluster
        self.refuse: dict[str, int] = {}

    def kubeconfig(self, directory: Path) -> Path:
        """A file that points here."""
        host, port = self.server_address[:2]
        path = directory / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"http://{host}:{port}"}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path.write_text(json.dumps(config))
        return path


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: GateApiServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        words = parts.path.strip("/").split("/")
        query = parse_qs(parts.query)
        namespace = words[words.index("namespaces") + 1] if "namespaces" in words else ""
        rest = words[words.index("namespaces") + 2 :] if namespace else words[-1:]
        kind = KINDS.get(rest[0]) if rest else None
        if kind is None:
            self._status(404, "the server could not find the requested resource")
        elif kind.plural in self.server.refuse:
            code = self.server.refuse[kind.plural]
            self._status(code, f'cannot get resource "{kind.plural}"', kind=kind.plural)
        elif len(rest) > 1:
            found = self.server.cluster.get(kind, namespace, rest[1])
            if found is None:
                self._status(404, f'{kind.plural} "{rest[1]}" not found', name=rest[1])
            else:
                self._answer(200, found)
        elif query.get("watch"):
            self._watch(kind, namespace, query["resourceVersion"][0])
        else:
            listing = self.server.cluster.listing(kind, namespace, {})
            metadata = {"resourceVersion": listing.version}
            self._answer(200, {"metadata": metadata, "items": listing.items})

    def _watch(self, kind, namespace, since) -> None:
        watch = self.server.cluster.watch(kind, namespace, {}, since, 60.0)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for event in watch:
                line = json.dumps({"type": event.type, "object": event.object}).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")
        except (OSError, CanaryError):
            self.close_connection = True

    def _status(self, code, message, **details) -> None:
        reason = {403: "Forbidden", 404: "NotFound", 401: "Unauthorized"}.get(code, "")
        body = {"kind": "Status", "code": code, "reason": reason, "message": message}
        self._answer(code, body | ({"details": details} if details else {}))

    def _answer(self, code, body) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextmanager
def serve_releases(cluster: FakeCluster) -> Iterator[GateApiServer]:
    """The cluster on a port of its own."""
    server = GateApiServer(cluster)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        cluster.break_watches()
        server.shutdown()
        server.server_close()
        thread.join(5)
