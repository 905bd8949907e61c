"""The API server in memory behind HTTP: whole commands talk to it as to a real one.

Lists, watches (with field and label selectors), gets, JSON Patches and dry runs of FakeCluster;
counts what it was asked.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

from canary.errors import CanaryError, ConflictError, NotFoundError
from canary.kube.objects import (
    DEPLOYMENTS,
    EVENTS,
    HTTP_ROUTES,
    PODS,
    RELEASES,
    REPLICA_SETS,
    SERVICES,
    Kind,
    Object,
)
from tests.kube.fake_cluster import FakeCluster
from tests.kube.json_patch import apply_patch

NAMESPACES = Kind("", "v1", "namespaces", "Namespace")
KINDS = (DEPLOYMENTS, EVENTS, HTTP_ROUTES, PODS, RELEASES, REPLICA_SETS, SERVICES, NAMESPACES)
BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}


class ApiServer:
    """`cluster` is what it has; `asked` counts (verb, plural); `refuse` maps a verb to a code.

    `page` (status, type, body) is what something else in its place answers to everything.
    """

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.asked: Counter[tuple[str, str]] = Counter()
        self.refuse: dict[str, int] = {}
        self.queries: list[Mapping[str, str]] = []
        self.page: tuple[int, str, bytes] | None = None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def kubeconfig(self, folder: Path, namespace: str = "prod") -> Path:
        """A file whose current context is this server."""
        context = {"cluster": "fake", "user": "me", "namespace": namespace}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": "secret"}}],
            "contexts": [{"name": "fake", "context": context}],
        }
        file = folder / "config"
        file.write_text(yaml.safe_dump(content))
        return file

    def close(self) -> None:
        """Ends watches and the server."""
        self.cluster.break_watches()
        self._http.shutdown()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self, "get", None)

            def do_PATCH(self) -> None:
                length = int(self.headers["Content-Length"])
                server.answer(self, "patch", json.loads(self.rfile.read(length)))

            def log_message(self, *_: object) -> None:
                """Nothing."""

        return Handler

    def answer(self, http: BaseHTTPRequestHandler, verb: str, body: Any) -> None:
        """One request."""
        parts = urlsplit(http.path)
        query = dict(parse_qsl(parts.query))
        kind, namespace, name = _place(parts.path)
        if verb == "get" and not name:
            verb = "watch" if query.get("watch") else "list"
        plural = kind.plural if kind else parts.path
        self.asked[verb, plural] += 1
        self.queries.append(query)
        try:
            if self.page is not None:
                _page(http, *self.page)
            elif (code := self.refuse.get(f"{verb} {plural}") or self.refuse.get(verb)) is not None:
                _failure(http, code, _words(code, verb, plural), details={"kind": plural})
            elif kind is None or kind in self.cluster.unserved:
                _failure(http, 404, "404 page not found", details=None)
            elif verb == "watch":
                self._watch(http, kind, namespace, query)
            else:
                _json(http, 200, self._done(verb, kind, (namespace, name), query, body))
        except ConflictError:
            _failure(http, 422, "the server rejected our request", details=None)
        except NotFoundError as error:
            _failure(http, 404, str(error), details={"name": name})
        except (BrokenPipeError, ConnectionResetError):
            http.close_connection = True

    def _done(
        self, verb: str, kind: Kind, place: tuple[str, str], query: Mapping[str, str], body: Any
    ) -> Any:
        namespace, name = place
        if verb == "list":
            listing = self.cluster.listing(kind, namespace, {})
            items = [item for item in listing.items if _chosen(item, query)]
            return {"metadata": {"resourceVersion": listing.version}, "items": items}
        if verb == "patch" and not query.get("dryRun"):
            return self.cluster.patch(kind, namespace, name, body)
        found = self.cluster.get(kind, namespace, name)
        if found is None:
            raise NotFoundError(f'{kind.plural} "{name}" not found')
        return apply_patch(found, body) if verb == "patch" else found

    def _watch(
        self, http: BaseHTTPRequestHandler, kind: Kind, namespace: str, query: Mapping[str, str]
    ) -> None:
        watch = self.cluster.watch(kind, namespace, {}, query["resourceVersion"], 0)
        http.send_response(200)
        http.send_header("Transfer-Encoding", "chunked")
        http.end_headers()
        try:
            for event in watch:
                if event.type == "BOOKMARK" or _chosen(event.object, query):
                    _chunk(http, {"type": event.type, "object": event.object})
            http.wfile.write(b"0\r\n\r\n")
        except CanaryError:
            http.close_connection = True


def _place(path: str) -> tuple[Kind | None, str, str]:
    parts = [unquote(part) for part in path.strip("/").split("/")]
    group = parts.pop(1) if parts[0] == "apis" else ""
    version, rest = parts[1], parts[2:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    kind = BY_PATH.get((group, version, rest[0])) if rest else None
    return kind, namespace, rest[1] if len(rest) > 1 else ""


def _chosen(item: Object, query: Mapping[str, str]) -> bool:
    metadata = item["metadata"]
    return all(_holds(item, one) for one in _terms(query.get("fieldSelector"))) and all(
        metadata.get("labels", {}).get(key) == value
        for key, _, value in (one.partition("=") for one in _terms(query.get("labelSelector")))
    )


def _terms(text: str | None) -> Iterator[str]:
    yield from text.split(",") if text else ()


def _holds(item: Object, term: str) -> bool:
    path, _, value = term.partition("=")
    assert path == "metadata.name"
    return bool(item["metadata"]["name"] == value)


def _words(code: int, verb: str, plural: str) -> str:
    if code == 403:
        return f'{plural} is forbidden: User "me" cannot {verb} resource "{plural}"'
    return "Unauthorized"


def _failure(
    http: BaseHTTPRequestHandler, code: int, words: str, details: Mapping[str, str] | None
) -> None:
    status = {"kind": "Status", "status": "Failure", "code": code, "message": words}
    _json(http, code, status | ({"details": details} if details else {}))


def _json(http: BaseHTTPRequestHandler, code: int, body: Any) -> None:
    _page(http, code, "application/json", json.dumps(body).encode())


def _page(http: BaseHTTPRequestHandler, code: int, kind: str, data: bytes) -> None:
    http.send_response(code)
    http.send_header("Content-Type", kind)
    http.send_header("Content-Length", str(len(data)))
    http.end_headers()
    http.wfile.write(data)


def _chunk(http: BaseHTTPRequestHandler, event: Any) -> None:
    line = json.dumps(event).encode() + b"\n"
    http.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
    http.wfile.flush()
