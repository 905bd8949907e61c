"""The client against a server that misbehaves."""

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes.config import incluster_config

from canary.errors import CanaryError, ConflictError, ExitCode, PermanentError, UsageError
from canary.kube.api_errors import (
    BusyError,
    ForbiddenError,
    GoneError,
    NotLeaderError,
    ResponseLostError,
    ServerFailedError,
    UnauthorizedError,
    UnreachableError,
)
from canary.kube.client import Client
from canary.kube.objects import DEPLOYMENTS, HTTP_ROUTES, PODS, RELEASES, Object
from canary.kube.retrying import RetryPolicy
from canary.kube.timing import Stopper
from canary.kube.transport import RequestTimeouts, load_transport
from tests.http_server import Misbehavior, Reply
from tests.kube.manual_timing import ManualTiming
from tests.kube.servers import (
    HANG,
    ScriptedApiServer,
    encode_event,
    reset_connection,
    send_answer,
    send_events,
    send_half,
    send_status,
)

QUICK = RetryPolicy(RequestTimeouts(connect=1.0, read=0.15), attempts=3, quiet=0.15)
ITEM = {"kind": "Pod", "metadata": {"name": "a", "resourceVersion": "7"}}
TESTED = [{"op": "test", "path": "/a", "value": 1}, {"op": "replace", "path": "/a", "value": 2}]
UNTESTED = TESTED[1:]

Start = Callable[..., tuple[Client, ScriptedApiServer]]
Call = Callable[[Client], Any]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a server with these acts, and a client for it whose pauses last no time."""
    started: list[tuple[Client, ScriptedApiServer]] = []

    def begin(
        *acts: Misbehavior | Reply, tokens: tuple[str, ...] = (), observer: Any = None
    ) -> tuple[Client, ScriptedApiServer]:
        server = ScriptedApiServer(*acts)
        transport = server.transport(*tokens, observer=observer)
        started.append((Client(transport, QUICK, Stopper(ManualTiming())), server))
        return started[-1]

    yield begin
    for client, server in started:
        client.close()
        server.close()


def test_a_patch_is_encoded_as_the_api_server_encodes_its_objects(start: Start):
    """A `test` step compares encoded texts: with Python's escapes these would never be equal."""
    client, server = start(send_answer(200, ITEM))
    value = 'a && b > c < d, é, \u2028, \b\t\x7f, \U0001f600, \\ and "'
    client.patch(PODS, "prod", "a", [{"op": "test", "path": "/a", "value": value}])
    escaped = (
        'a \\u0026\\u0026 b \\u003e c \\u003c d, é, \\u2028, \\b\\t\x7f, \U0001f600, \\\\ and \\"'
    )
    assert f'"value": "{escaped}"'.encode() in server.requests[0].content
    assert server.requests[0].headers["Content-Type"] == "application/json-patch+json"


def test_text_that_utf_8_cannot_hold_is_sent_nevertheless(start: Start):
    """An unpaired surrogate becomes a question mark; the write is not lost."""
    client, server = start(send_answer(200, ITEM))
    client.patch(PODS, "prod", "a", [{"op": "add", "path": "/a", "value": "\ud800"}])
    assert server.requests[0].json() == [{"op": "add", "path": "/a", "value": "?"}]


def get(client: Client) -> Any:
    """A read."""
    return client.get(PODS, "prod", "a")


def create(client: Client) -> Any:
    """A write that must not happen twice."""
    return client.create(PODS, "prod", {"metadata": {"name": "a"}})


def careful(client: Client) -> Any:
    """A patch that cannot be applied twice."""
    return client.patch(PODS, "prod", "a", TESTED)


def careless(client: Client) -> Any:
    """A patch that might be."""
    return client.patch(PODS, "prod", "a", UNTESTED)


def guarded(client: Client) -> Any:
    """A status with the version it was read at."""
    return client.replace_status(PODS, {"metadata": {"name": "a", "resourceVersion": "7"}})


def delete(client: Client) -> Any:
    """A deletion."""
    return client.delete(PODS, "prod", "a", "Background")


FAILED = send_status(503, "ServiceUnavailable", "apiserver is shutting down")
BUSY = send_status(429, "TooManyRequests", "too many requests")


@pytest.mark.parametrize(
    ("call", "acts", "requests"),
    [
        pytest.param(get, [HANG, send_answer(200, ITEM)], 2, id="a hung read is sent again"),
        pytest.param(
            get, [send_half, send_answer(200, ITEM)], 2, id="half an answer is read again"
        ),
        pytest.param(
            get, [reset_connection, send_answer(200, ITEM)], 2, id="a reset read is sent again"
        ),
        pytest.param(
            get, [FAILED, send_answer(200, ITEM)], 2, id="a read that failed is sent again"
        ),
        pytest.param(
            get,
            [send_answer(200, "<p>"), send_answer(200, ITEM)],
            1,
            id="a proxy's page is no answer",
        ),
        pytest.param(
            create, [BUSY, send_answer(201, ITEM)], 2, id="a create turned away is sent again"
        ),
        pytest.param(create, [FAILED, send_answer(201, ITEM)], 1, id="a create that failed is not"),
        pytest.param(
            create,
            [reset_connection, send_answer(201, ITEM)],
            1,
            id="a create without answer is not",
        ),
        pytest.param(create, [HANG, send_answer(201, ITEM)], 1, id="a hung create is not"),
        pytest.param(
            careful,
            [reset_connection, send_answer(200, ITEM)],
            2,
            id="a patch with a test is sent again",
        ),
        pytest.param(
            careless,
            [reset_connection, send_answer(200, ITEM)],
            1,
            id="a patch without a test is not",
        ),
        pytest.param(
            guarded,
            [reset_connection, send_answer(200, ITEM)],
            2,
            id="a guarded status is sent again",
        ),
        pytest.param(
            delete, [reset_connection, send_answer(404, ITEM)], 2, id="a delete is sent again"
        ),
        pytest.param(get, [FAILED], 3, id="there is an end to it"),
        pytest.param(
            get,
            [send_status(400, "BadRequest", "no"), send_answer(200, ITEM)],
            1,
            id="a refusal stands",
        ),
    ],
)
def test_what_is_sent_again(
    start: Start, call: Call, acts: list[Misbehavior | Reply], requests: int
) -> None:
    """Only what is transient and harmless is sent again, and an answer ends it."""
    client, server = start(*acts)
    try:
        call(client)
    except CanaryError:
        answered = False
    else:
        answered = True
    assert len(server.requests) == requests
    assert answered == (requests == len(acts) and len(acts) > 1)


def test_retry_after(start: Start) -> None:
    """The server's Retry-After is the least pause; one beyond our budget is left to the caller."""
    client, server = start(send_answer(429, Retry_After="3"), send_answer(200, ITEM))
    get(client)
    (pause,) = client._calls.stopper.timing.waits
    assert pause >= 3
    client, server = start(send_answer(429, Retry_After="100"))
    with pytest.raises(BusyError) as busy:
        get(client)
    assert (busy.value.retry_after, len(server.requests)) == (100, 1)


@pytest.mark.parametrize(
    ("call", "act", "error", "words"),
    [
        pytest.param(
            get,
            HANG,
            ResponseLostError,
            "cannot reach the API server at .*Read timed out",
            id="hung",
        ),
        pytest.param(get, send_half, ResponseLostError, "was interrupted", id="half an answer"),
        pytest.param(
            get,
            send_answer(200, "<p>"),
            ResponseLostError,
            "an object in JSON",
            id="a proxy's page",
        ),
        pytest.param(
            get, send_answer(200, "[]"), ResponseLostError, "an object in JSON", id="a list"
        ),
        pytest.param(
            get,
            send_answer(302, Location="/else"),
            PermanentError,
            "HTTP 302, a redirect to /else; is this",
            id="redirect",
        ),
        pytest.param(
            get,
            send_answer(500, "<h1>" + "oh " * 999),
            ServerFailedError,
            "HTTP 500: <h1>oh .{100,120}$",
            id="a proxy's long page",
        ),
        pytest.param(
            get, FAILED, ServerFailedError, "apiserver is shutting down", id="server failed"
        ),
        pytest.param(
            create,
            send_status(409, "AlreadyExists", 'pods "a" already exists', name="a"),
            ConflictError,
            'cannot create pods a in namespace prod: pods "a" already exists',
            id="exists",
        ),
        pytest.param(
            careless,
            send_status(422, "Invalid", "the server rejected our request"),
            ConflictError,
            "not in the state that the patch expects",
            id="a test in a patch does not hold",
        ),
        pytest.param(
            careless,
            send_status(422, "Invalid", 'Pod "a" is invalid: spec', name="a"),
            PermanentError,
            'Pod "a" is invalid: spec',
            id="a patch makes an invalid object",
        ),
        pytest.param(
            lambda client: client.patch(HTTP_ROUTES, "prod", "a", UNTESTED),
            send_status(
                403,
                "Forbidden",
                'httproutes is forbidden: User "x" cannot patch resource "httproutes" in API group "…"',
                name="a",
            ),
            ForbiddenError,
            r'a Role in namespace prod: apiGroups \["gateway.networking.k8s.io"\], '
            r'resources \["httproutes"\], verbs \["patch"\]',
            id="RBAC says no: what to grant",
        ),
        pytest.param(
            lambda client: client.replace_status(
                RELEASES, {"metadata": {"name": "a", "namespace": "b"}}
            ),
            send_status(
                403, "Forbidden", 'cannot update resource "canaryreleases/status"', name="a"
            ),
            ForbiddenError,
            r'resources \["canaryreleases/status"\], verbs \["update"\]',
            id="a subresource is named as in RBAC",
        ),
        pytest.param(
            create,
            send_status(403, "Forbidden", "exceeded quota: pods", name="a"),
            ForbiddenError,
            "exceeded quota: pods$",
            id="a quota is no matter of RBAC",
        ),
        pytest.param(
            get,
            send_status(401, "Unauthorized", "Unauthorized"),
            UnauthorizedError,
            "credentials",
            id="401",
        ),
    ],
)
def test_errors(
    start: Start, call: Call, act: Misbehavior | Reply, error: type[CanaryError], words: str
) -> None:
    """Every failure is one of our errors, with the server's words and what to do."""
    client, _ = start(act)
    with pytest.raises(error, match=words) as raised:
        call(client)
    assert "\n" not in str(raised.value)


def test_forbidden_exit_code() -> None:
    """Forbidden ends a command as "not found or forbidden" does."""
    assert ForbiddenError.exit_code is UnauthorizedError.exit_code is ExitCode.NOT_FOUND


def test_nobody_listens() -> None:
    """A server that is not there is unreachable, which is safe to try again, also for a create."""
    server = ScriptedApiServer(send_answer(200))
    timing = ManualTiming()
    client = Client(server.transport(), QUICK, Stopper(timing))
    server.close()
    with pytest.raises(
        UnreachableError, match=r"^cannot reach the API server at http://127[^:]*:\d+: .*refused"
    ):
        create(client)
    assert len(timing.waits) == 2


class Values:
    """What a function holds that sends a request."""


def hold_during(call: Callable[[], object]) -> "weakref.ref[Values]":
    """Hold something while the call fails; return whether that is still there."""
    held = Values()
    with contextlib.suppress(CanaryError):
        call()
    return weakref.ref(held)


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([send_answer(404)], id="refused"),
        pytest.param([send_answer(503)] * 3, id="refused three times"),
        pytest.param([reset_connection] * 3, id="the connection is lost"),
    ],
)
def test_a_failed_request_keeps_nothing_of_who_sent_it(start: Start, answers: list[Any]) -> None:
    """A reconcile holds a release and all its samples: thousands of requests fail in an outage."""
    client, _ = start(*answers)
    gc.collect()
    gc.disable()
    try:
        assert hold_during(lambda: get(client))() is None
    finally:
        gc.enable()


def test_new_token(start: Start) -> None:
    """Refused credentials are read again, once, before anybody hears of it."""
    client, server = start(
        send_status(401, "Unauthorized", "no"),
        send_answer(200, ITEM),
        tokens=("Bearer old", "Bearer new"),
    )
    assert get(client) == ITEM
    assert [got.headers["authorization"] for got in server.requests] == ["Bearer old", "Bearer new"]


def test_request(start: Start) -> None:
    """Who asks, who owns the fields, and a JSON Patch that stays one."""
    client, server = start(send_answer(200, ITEM))
    client.patch(PODS, "prod", "a/b", TESTED, "status")
    (got,) = server.requests
    assert got.path == "/api/v1/namespaces/prod/pods/a%2Fb/status?fieldManager=canary-controller"
    assert got.headers["Content-Type"] == "application/json-patch+json"
    assert got.headers["User-Agent"].startswith("canary/")
    assert got.json() == TESTED


def test_a_response_of_the_api_server_has_a_maximum_size() -> None:
    """It is read no further, and not requested again."""
    large = send_answer(200, ITEM | {"data": "x" * 100_000})
    with ScriptedApiServer(large) as server:
        client = Client(server.transport(max_bytes=1000), QUICK, Stopper(ManualTiming()))
        with pytest.raises(PermanentError, match="at most 1,000 bytes from the API server"):
            client.get(PODS, "prod", "a")
        client.close()
        assert len(server.requests) == 1


def test_one_connection(start: Start) -> None:
    """Connections are used again."""
    client, server = start(send_answer(200, ITEM))
    for _ in range(5):
        get(client)
    assert len({got.connection for got in server.requests}) == 1


def test_pages(start: Start) -> None:
    """A long list is read in pages; when a page has expired it is read again, whole."""
    first = send_answer(
        200, {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "c"}}
    )
    second = send_answer(
        200, {"items": [{"metadata": {"name": "b"}}], "metadata": {"resourceVersion": "9"}}
    )
    gone = send_status(410, "Expired", "the continue token is too old")
    client, server = start(first, second)
    listing = client.listing(DEPLOYMENTS, "", {"app": "auth", "tier": "x"})
    assert [item["metadata"]["name"] for item in listing.items] == ["a", "b"]
    assert listing.version == "9"
    assert listing.items[0]["kind"] == "Deployment"
    assert server.requests[1].path == (
        "/apis/apps/v1/deployments?labelSelector=app%3Dauth%2Ctier%3Dx&limit=100&continue=c"
    )
    client, server = start(first, gone, second)
    assert len(client.list(DEPLOYMENTS, "", {})) == 1
    assert server.requests[2].path == "/apis/apps/v1/deployments"


def test_no_page_is_kept_whole(start: Start) -> None:
    """What is kept of an object is found before the next page is read, not when all are there."""
    named = {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "c"}}
    last = {"items": [{"metadata": {"name": "b"}}], "metadata": {"resourceVersion": "9"}}
    client, server = start(send_answer(200, named), send_answer(200, last))
    pages: list[int] = []

    def compact(item: Object) -> Object:
        pages.append(len(server.requests))
        return {"metadata": item["metadata"]}

    listing = client.listing(DEPLOYMENTS, "", {}, compact)
    assert listing.items == [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]
    assert pages == [1, 2]


def test_fence(start: Start) -> None:
    """Without the lease nothing is written, not even by a retry; reading goes on."""
    left = [5.0, 0.0]
    client, server = start(BUSY, send_answer(200, ITEM))
    fenced = client.with_fence(lambda: left.pop(0) if len(left) > 1 else left[0])
    for _ in range(2):
        with pytest.raises(
            NotLeaderError, match="cannot patch pods a in namespace prod: this replica"
        ):
            careful(fenced)
    assert len(server.requests) == 1
    assert get(fenced) == ITEM
    assert careful(client) == ITEM


def test_fence_shortens_waiting(start: Start) -> None:
    """No write waits for its answer beyond the lease."""
    client, _ = start(HANG)
    patient = client.with_policy(RetryPolicy(RequestTimeouts(1, 30), attempts=1)).with_fence(
        lambda: 0.1
    )
    with pytest.raises(ResponseLostError, match=r"read timeout=0\.1"):
        careful(patient)


def test_stopped_client_does_not_retry(start: Start) -> None:
    """Shutdown does not wait for a server that is down."""
    client, server = start(FAILED)
    client._calls.stopper.stop()
    with pytest.raises(ServerFailedError):
        get(client)
    assert len(server.requests) == 1


def test_observer(start: Start) -> None:
    """Every request is counted with its code, also the one without an answer, and with its right."""
    seen, rights = [], []

    class Observer:
        def requested(self, method: str, host: str, code: str, seconds: float) -> None:
            assert seconds >= 0
            seen.append((method, host, code))

        def used(self, verb: str, group: str, resource: str) -> None:
            rights.append((verb, group, resource))

    client, server = start(reset_connection, send_answer(200, ITEM), observer=Observer())
    get(client)
    assert seen == [("GET", server.url, "<error>"), ("GET", server.url, "200")]
    assert set(rights) == {("get", "", "pods")}


def follow(client: Client) -> list[Any]:
    """All events of a watch."""
    return list(client.watch(PODS, "prod", {}, "5", 300))


def test_watch(start: Start) -> None:
    """Events come as they are sent, wherever the chunks are cut."""
    lines = encode_event("ADDED", 6) + encode_event("BOOKMARK", 8) + encode_event("DELETED", 9)
    client, server = start(send_events(lines[:10], lines[10:70], lines[70:]))
    types = [(found.type, found.object["metadata"]["resourceVersion"]) for found in follow(client)]
    assert types == [("ADDED", "6"), ("BOOKMARK", "8"), ("DELETED", "9")]
    assert server.requests[0].path.split("?")[1] == (
        "watch=true&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=300"
    )


@pytest.mark.parametrize(
    ("act", "error"),
    [
        pytest.param(send_status(410, "Expired", "too old"), GoneError, id="refused: too old"),
        pytest.param(
            send_events(
                encode_event(
                    "ERROR", 0, kind="Status", code=410, message="too old resource version"
                )
            ),
            GoneError,
            id="an ERROR event: too old",
        ),
        pytest.param(
            send_events(encode_event("ERROR", 0, kind="Status", code=500, message="etcd")),
            ServerFailedError,
            id="ERROR 500",
        ),
        pytest.param(
            send_events(encode_event("ADDED", 6), then="break"),
            ResponseLostError,
            id="half a chunk",
        ),
        pytest.param(
            send_events(encode_event("ADDED", 6), then="hang"),
            ResponseLostError,
            id="silence for too long",
        ),
        pytest.param(
            send_events(b'{"type": "ADDED"}\n'), ResponseLostError, id="an event without an object"
        ),
        pytest.param(send_events(b"<html>\n"), ResponseLostError, id="no JSON"),
        pytest.param(reset_connection, ResponseLostError, id="reset"),
    ],
)
def test_watch_breaks(start: Start, act: Misbehavior | Reply, error: type[CanaryError]) -> None:
    """Whatever ends a watch before its time says which way to go on."""
    client, _ = start(act)
    with pytest.raises(error):
        follow(client)


def test_interrupted_watch(start: Start) -> None:
    """A watch that waits can be ended from outside, without an error."""
    client, _ = start(send_events(encode_event("ADDED", 6), then="hang"))
    watch = client.with_policy(RetryPolicy(quiet=10)).watch(PODS, "prod", {}, "5", 300)
    found = []
    for one in watch:
        found.append(one)
        watch.interrupt()
    assert len(found) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(None, "cannot load a configuration", id="no file"),
        pytest.param("{", "cannot load a configuration", id="no YAML"),
        pytest.param("apiVersion: v1", "cannot load a configuration", id="nothing in it"),
    ],
)
def test_no_configuration(tmp_path: Any, text: str | None, words: str) -> None:
    """A kubeconfig that cannot be used is a wrong input, with a sentence."""
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=words):
        load_transport(str(path))


def test_in_a_pod(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kubeconfig a pod's service account is used; a kubeconfig that is named wins."""
    for name, file in (("SERVICE_TOKEN_FILENAME", "token"), ("SERVICE_CERT_FILENAME", "ca.crt")):
        (tmp_path / file).write_text("of the pod")
        monkeypatch.setattr(incluster_config, name, str(tmp_path / file))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    settings = in_pod()
    assert settings.host == "https://10.0.0.1:443"
    assert settings.retries is False
    assert settings.get_api_key_with_prefix("BearerToken") == "bearer of the pod"
    with pytest.raises(UsageError, match="cannot load a configuration"):
        load_transport(str(tmp_path / "kubeconfig"))


def in_pod() -> Any:
    """The settings that are loaded, before any connection."""
    return load_transport()._api.configuration
