"""The reflector keeps a cache true, whatever servers and networks do."""

import queue
from collections.abc import Callable, Iterator

import pytest

from canary.errors import CanaryError
from canary.kube.api_errors import (
    ForbiddenError,
    GoneError,
    ResponseLostError,
    ServerFailedError,
    UnreachableError,
)
from canary.kube.cache import Cache, Scope
from canary.kube.client import Client
from canary.kube.objects import PODS, Kind, Object
from canary.kube.reflector import FIRST_DELAY, LONGEST_DELAY, Reflector, backoff_delay
from canary.kube.retrying import RetryPolicy
from canary.kube.timing import Stopper, SystemTiming
from canary.kube.transport import RequestTimeouts
from tests.kube.fake_cluster import FakeCluster
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

NS = "prod"
PATIENCE = 10.0
"""Seconds until a test gives up."""


class Followed:
    """A reflector at work, and what its cache's handlers hear."""

    def __init__(self, source: FakeCluster | Client, timing: ManualTiming | None = None) -> None:
        self.timing = timing or ManualTiming()
        self.cache = Cache(Scope(PODS))
        self.reflector = Reflector(source, self.cache, Stopper(self.timing))
        self._heard: queue.Queue[str] = queue.Queue()
        self.cache.on_change(self._hear)
        self.reflector.start()

    def _hear(self, old: Object | None, new: Object | None) -> None:
        what = "+" if old is None else "-" if new is None else "~"
        self._heard.put(f"{what}{(new or old or {})['metadata']['name']}")

    def hears(self, *expected: str) -> None:
        assert [self._heard.get(timeout=PATIENCE) for _ in expected] == list(expected)


@pytest.fixture
def cluster() -> FakeCluster:
    """A cluster with one pod."""
    cluster = FakeCluster()
    cluster.put(PODS, pod("a"))
    return cluster


@pytest.fixture
def follow() -> Iterator[Callable[..., Followed]]:
    """Starts reflectors, and ends them."""
    started: list[Followed] = []

    def begin(source: FakeCluster | Client, timing: ManualTiming | None = None) -> Followed:
        started.append(Followed(source, timing))
        return started[-1]

    yield begin
    for one in started:
        assert one.reflector.stop(PATIENCE)


def pod(name: str, **labels: str) -> Object:
    """A pod."""
    return {"metadata": {"namespace": NS, "name": name, "labels": labels}}


Follow = Callable[..., Followed]


def test_follows(cluster: FakeCluster, follow: Follow) -> None:
    """First what is there, then what happens."""
    one = follow(cluster)
    one.hears("+a")
    assert one.cache.synced.wait(PATIENCE)
    cluster.put(PODS, pod("b"))
    cluster.put(PODS, pod("a", app="auth"))
    cluster.delete(PODS, NS, "b", "Background")
    one.hears("+b", "~a", "-b")
    assert one.cache.list() == cluster.list(PODS, "", {})
    assert one.reflector.problem == ""


def test_watch_ends(cluster: FakeCluster, follow: Follow) -> None:
    """A watch that the server ends goes on where it was: nothing is missed, nothing listed again."""
    lists = []
    cluster.before = lambda verb, *_: lists.append(verb) if verb == "list" else None
    one = follow(cluster)
    one.hears("+a")
    for name in ("b", "c", "d"):
        cluster.break_watches()
        cluster.put(PODS, pod(name))
        one.hears(f"+{name}")
    assert lists == ["list"]


@pytest.mark.parametrize(
    ("error", "lists"),
    [
        pytest.param(ResponseLostError("reset"), 1, id="a broken connection: go on"),
        pytest.param(GoneError("410"), 2, id="too old: list again"),
        pytest.param(ServerFailedError("etcd"), 2, id="the server's own mistake: list again"),
    ],
)
def test_watch_breaks(cluster: FakeCluster, follow: Follow, error: CanaryError, lists: int) -> None:
    """What happened meanwhile is told all the same, whichever way the watch broke."""
    asked = []
    cluster.before = lambda verb, *_: asked.append(verb) if verb == "list" else None
    one = follow(cluster)
    one.hears("+a")
    cluster.put(PODS, pod("b"))
    one.hears("+b")
    cluster.break_watches(error)
    cluster.put(PODS, pod("c"))
    one.hears("+c")
    assert len(asked) == lists


def test_deleted_while_blind(cluster: FakeCluster, follow: Follow) -> None:
    """What was deleted while history was lost is told as deleted."""
    one = follow(cluster)
    one.hears("+a")

    def blind(verb: str, *_: object) -> None:
        if verb == "watch":
            cluster.before = None
            cluster.delete(PODS, NS, "a", "Background")
            cluster.put(PODS, pod("b"))
            cluster.compact()

    cluster.before = blind
    cluster.break_watches()
    one.hears("+b", "-a")


def test_bookmarks(cluster: FakeCluster, follow: Follow) -> None:
    """A bookmark moves the place from which to go on: forgotten history is not missed."""
    one = follow(cluster)
    one.hears("+a")
    since: queue.Queue[str] = queue.Queue()
    watch = cluster.watch

    def watched(kind: Kind, namespace: str, labels: object, version: str, seconds: float) -> object:
        since.put(version)
        return watch(kind, namespace, labels, version, seconds)

    cluster.watch = watched
    cluster.put(Kind("", "v1", "configmaps", "ConfigMap"), {"metadata": {"name": "x"}})
    cluster.bookmark()
    cluster.compact()
    cluster.break_watches()
    assert since.get(timeout=PATIENCE) in {"101", "102"}
    cluster.put(PODS, pod("b"))
    one.hears("+b")


def test_server_down(cluster: FakeCluster) -> None:
    """While the server is down it is asked ever more rarely."""
    failures = [UnreachableError("refused")] * 9

    def down(*_: object) -> None:
        if failures:
            raise failures.pop()

    cluster.before = down
    timing = ManualTiming()
    one = Followed(cluster, timing)
    one.hears("+a")
    assert one.reflector.stop(PATIENCE)
    assert len(timing.waits) == 9
    assert timing.waits[0] <= FIRST_DELAY
    assert 4 < timing.waits[4] <= 8
    assert LONGEST_DELAY / 2 <= timing.waits[-1] <= LONGEST_DELAY


def test_delay() -> None:
    """The server may ask for a longer pause; numbers do not overflow."""
    assert backoff_delay(1, ResponseLostError("", retry_after=40)) == 40
    assert backoff_delay(10**6, ForbiddenError("")) <= LONGEST_DELAY


def test_garbage(cluster: FakeCluster, follow: Follow) -> None:
    """An event that makes no sense does not end the thread: everything is listed again."""
    one = follow(cluster)
    one.hears("+a")
    take, broken = one.reflector._apply_event, [True]

    def stumble(item: object) -> None:
        if broken:
            broken.clear()
            raise KeyError("metadata")
        take(item)

    one.reflector._apply_event = stumble
    cluster.put(PODS, pod("b"))
    one.hears("+b")
    cluster.put(PODS, pod("c"))
    one.hears("+c")


def test_stop(cluster: FakeCluster) -> None:
    """A reflector that waits for events ends at once when told."""
    one = Followed(cluster)
    one.hears("+a")
    assert one.reflector.stop(PATIENCE)
    assert not one.reflector.alive


def test_over_http() -> None:
    """All of it over a socket: silence, a reset, half an answer, half a chunk, 429, 410."""
    pods = [{"metadata": {"name": "a", "uid": "u", "resourceVersion": "5"}}]
    listing = send_answer(200, {"items": pods, "metadata": {"resourceVersion": "5"}})
    later = [{"metadata": {"name": "b", "uid": "w", "resourceVersion": "20"}}]
    server = ScriptedApiServer(
        *(reset_connection, send_half, listing),
        send_events(encode_event("MODIFIED", 6), then="break"),
        send_events(encode_event("MODIFIED", 7), then="hang"),
        send_answer(429, Retry_After="2"),
        send_events(encode_event("MODIFIED", 8)),
        send_status(410, "Expired", "too old"),
        send_answer(200, {"items": later, "metadata": {"resourceVersion": "20"}}),
        HANG,
    )
    policy = RetryPolicy(RequestTimeouts(connect=1, read=0.3), quiet=0.3)
    client = Client(server.transport(), policy, Stopper(ManualTiming()))
    one = Followed(client)
    one.hears("+a", "~a", "~a", "~a", "+b", "-a")
    assert one.reflector.stop(PATIENCE)
    asked = [
        got.path.split("resourceVersion=")[1].split("&")[0]
        for got in server.requests
        if "watch=" in got.path
    ]
    assert asked[:6] == ["5", "6", "7", "7", "8", "20"]
    client.close()
    server.close()


def test_system_timing() -> None:
    """A sleep ends when stopped, and not before its time otherwise."""
    stopper = Stopper(SystemTiming())
    assert stopper.sleep(0.01) is False
    stopper.stop()
    assert stopper.sleep(1000.0) is True
