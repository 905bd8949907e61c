"""The API server in memory behind HTTP: whole commands talk to it as to a real one.

Lists, watches (with field and label selectors), gets, JSON Patches and dry runs of FakeCluster;
also discovery, access reviews and pods' pages by proxy. Counts what it is asked.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from canary.discovery.selector_conflicts import SELECTING_KINDS
from canary.discovery.topology import DIALECTS, INGRESS_ROUTES, INGRESSES
from canary.discovery.workload_risks import CLAIMS, CONTROLLERS
from canary.doctor.definition import DEFINITIONS
from canary.doctor.pause_mode import NAMESPACES
from canary.doctor.rights import SELF_REVIEWS, SUBJECT_REVIEWS
from canary.doctor.routers import GATEWAY_CLASSES
from canary.errors import CanaryError, ConflictError, NotFoundError
from canary.kube.objects import (
    AUTOSCALERS,
    CRON_JOBS,
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    PODS,
    RELEASES,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
    Kind,
    Object,
)
from canary.kube.workloads.pause_mode import BINDINGS, POLICIES
from tests.http_server import (
    HttpServer,
    Misbehavior,
    ReceivedRequest,
    Reply,
    reply_json,
    write_chunk,
    write_kubeconfig,
)
from tests.kube.fake_cluster import FakeCluster
from tests.kube.json_patch import apply_patch

KINDS = (
    *(AUTOSCALERS, BINDINGS, CLAIMS, *CONTROLLERS, CRON_JOBS, DEFINITIONS, DEPLOYMENTS, EVENTS),
    *(GATEWAY_CLASSES, INGRESSES, INGRESS_ROUTES, LEASES, NAMESPACES, PODS, POLICIES, RELEASES),
    *(REPLICA_SETS, SECRETS, SELF_REVIEWS, SERVICES, SUBJECT_REVIEWS, *SELECTING_KINDS),
    *(dialect.kind for dialect in DIALECTS),
)
BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
VERBS = {"GET": "get", "PATCH": "patch", "POST": "create"}


class ApiServer(HttpServer):
    """Serves a fake cluster."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.asked: Counter[tuple[str, str]] = Counter()
        """Requests by (verb, plural)."""
        self.queries: list[Mapping[str, str]] = []
        self.refuse: dict[str, int] = {}
        """HTTP status codes by "VERB PLURAL", "VERB", or "*" for everything."""
        self.page: Reply | None = None
        """What something else in its place answers to everything."""
        self.pod_pages: dict[str, str] = {}
        super().__init__(self._answer_request)

    def kubeconfig(self, directory: Path) -> Path:
        """Write a file whose current context is this server, in the namespace prod."""
        return write_kubeconfig(directory, self.url, "prod", token="secret")  # noqa: S106 - looked for in messages

    def close(self) -> None:
        """End watches and the server."""
        self.cluster.break_watches()
        super().close()

    def _answer_request(self, request: ReceivedRequest) -> Reply | Misbehavior:
        parts = urlsplit(request.path)
        query = dict(parse_qsl(parts.query))
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        kind, namespace, name = _split_path(words)
        verb = VERBS[request.method]
        if verb == "get" and not name:
            verb = "watch" if query.get("watch") else "list"
        plural = kind.plural if kind else parts.path
        self.asked[verb, plural] += 1
        self.queries.append(query)
        if self.page is not None:
            return self.page
        for key in (f"{verb} {plural}", verb, "*"):
            if key in self.refuse:
                code = self.refuse[key]
                return _failure(code, _sentence(code, verb, plural), {"kind": plural})
        if kind is None or words[-2:-1] == ["proxy"]:
            return self._discover(words)
        if verb == "create":
            return self._review(request.json())
        return self._serve(verb, kind, (namespace, name), query, request)

    def _serve(
        self,
        verb: str,
        kind: Kind,
        place: tuple[str, str],
        query: Mapping[str, str],
        request: ReceivedRequest,
    ) -> Reply | Misbehavior:
        try:
            if kind in self.cluster.unserved:
                return _failure(404, "404 page not found")
            if verb == "watch":
                return self._watch(kind, place[0], query)
            body = request.json() if request.content else None
            return reply_json(self._act(verb, kind, place, query, body))
        except ConflictError:
            return _failure(422, "the server rejected our request")
        except NotFoundError as error:
            return _failure(404, str(error), {"name": place[1]})

    def _act(
        self, verb: str, kind: Kind, place: tuple[str, str], query: Mapping[str, str], body: Any
    ) -> Any:
        namespace, name = place
        if verb == "list":
            listing = self.cluster.listing(kind, namespace, {})
            items = [item for item in listing.items if _selects(query, item)]
            return {"metadata": {"resourceVersion": listing.version}, "items": items}
        if verb == "patch" and not query.get("dryRun"):
            return self.cluster.patch(kind, namespace, name, body)
        found = self.cluster.get(kind, namespace, name)
        if found is None:
            raise NotFoundError(f'{kind.plural} "{name}" not found')
        return apply_patch(found, body) if verb == "patch" else found

    def _watch(self, kind: Kind, namespace: str, query: Mapping[str, str]) -> Misbehavior:
        watch = self.cluster.watch(kind, namespace, {}, query["resourceVersion"], 0)

        def stream(http: BaseHTTPRequestHandler) -> None:
            http.send_response(200)
            http.send_header("Transfer-Encoding", "chunked")
            http.end_headers()
            try:
                for event in watch:
                    if event.type == "BOOKMARK" or _selects(query, event.object):
                        line = reply_json({"type": event.type, "object": event.object}).body
                        write_chunk(http, line + b"\n")
                write_chunk(http, b"")
            except CanaryError:
                http.close_connection = True

        return stream

    def _discover(self, words: list[str]) -> Reply:
        """The version, the resources of a group, or a pod's page."""
        if words[-2:-1] == ["proxy"]:
            return self._answer_page(words[-3].split(":")[1])
        if words == ["version"]:
            return reply_json({"major": "1", "minor": "37"})
        version = "/".join(words[1 if words[0] in {"api", "apis"} else 0 :])
        served = [
            {"name": kind.plural}
            for kind in KINDS
            if kind.api_version == version and kind not in self.cluster.unserved
        ]
        return reply_json({"resources": served}) if served else _failure(404, "404 page not found")

    def _review(self, body: Any) -> Reply:
        """Whether somebody may do something: what is not refused here."""
        wanted = body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (wanted["resource"], wanted["subresource"])))
        allowed = f"{wanted['verb']} {resource}" not in self.refuse
        return reply_json(body | {"status": {"allowed": allowed}}, 201)

    def _answer_page(self, pod: str) -> Reply:
        text = self.pod_pages.get(pod)
        if text is None:
            return _failure(403, f"you may not get pods/proxy {pod}")
        return Reply(text.encode())


def _split_path(words: list[str]) -> tuple[Kind | None, str, str]:
    """Return the kind, the namespace and the name in a path."""
    depth = 2 if words[0] == "api" else 3
    group = words[1] if depth == 3 and len(words) > 1 else ""
    version, rest = "".join(words[depth - 1 : depth]), words[depth:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    kind = BY_PATH.get((group, version, rest[0])) if rest else None
    return kind, namespace, rest[1] if len(rest) > 1 else ""


def _selects(query: Mapping[str, str], item: Object) -> bool:
    metadata = item["metadata"]
    fields = dict(one.split("=") for one in _split_terms(query.get("fieldSelector")))
    labels = dict(one.split("=") for one in _split_terms(query.get("labelSelector")))
    assert fields.keys() <= {"metadata.name"}
    return fields.get("metadata.name", metadata["name"]) == metadata["name"] and (
        labels.items() <= metadata.get("labels", {}).items()
    )


def _split_terms(text: str | None) -> Iterator[str]:
    yield from text.split(",") if text else ()


def _sentence(code: int, verb: str, plural: str) -> str:
    if code == 403:
        return f'{plural} is forbidden: User "me" cannot {verb} resource "{plural}"'
    return "Unauthorized"


def _failure(code: int, sentence: str, details: Mapping[str, str] | None = None) -> Reply:
    reason = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}.get(code, "")
    status = {"kind": "Status", "status": "Failure", "code": code, "message": sentence}
    return reply_json(status | {"reason": reason} | ({"details": details} if details else {}), code)
