"""Notices as the reconcile pass makes them, and an HTTP server that remembers what it was sent."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from canary.api import (
    HistoryEntry,
    Intent,
    MetricStatus,
    Pause,
    Phase,
    Reason,
    Release,
    Result,
    Spec,
    Status,
    Verdict,
    load_release,
)
from canary.api.notify import Notify, SecretRef
from canary.errors import PermanentError
from canary.interfaces import Change, Key, Notice
from canary.notify.message import Links

GOLDEN = Path(__file__).parent / "golden"
PATIENCE = 20.0
"""Real seconds after which something that is waited for does not come any more."""
KEY = Key("prod", "auth")
AT = 1_800_000_000.0
PODS = ("auth-canary-5d9f-x2x7p", "auth-canary-5d9f-zq4lt")
LEAK = f"pool: {PODS[0]} leaks 1 connection per 4,900 requests; the pool of 50 is empty in 68 min"
LINKS = Links(
    "https://runbooks.example",
    "https://grafana.example/d/release?var-namespace={namespace}&var-release={release}",
    "https://grafana.example/d/pools?var-service={service}&var-pod={canary}&from={from}&to={to}",
)
RELEASE = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth, namespace: prod}
spec:
  target: {name: auth}
  service: {name: auth-web}
  traffic: {traefik: {traefikService: auth}}
  steps: [{weight: 5}, {weight: 25}]
  analysis:
    metrics:
    - {name: errors, ratio: {preset: http}}
    - {name: pool, pool: {preset: hikaricp}}
  notify: []
"""


def spec(*entries: dict[str, Any]) -> Spec:
    """The release's, with these receivers."""
    text = RELEASE.replace("notify: []", f"notify: {json.dumps(entries)}")
    return load_release(text, "tests").spec


def entry(**fields: Any) -> Notify:
    """One receiver, as it stands in YAML."""
    return Notify.model_validate_json(json.dumps(fields), by_alias=True, by_name=False)


def ref(key: str, name: str = "hooks") -> dict[str, Any]:
    """A secret's place, as it stands in YAML."""
    return {"secretRef": {"name": name, "key": key}}


def release(template: str = "5d9f01", **fields: Any) -> Release:
    """The release under way."""
    started: dict[str, Any] = {"started_at": AT - 600, "replicas": 4, "peak_weight": 5}
    return Release(template=template, **(started | fields))


def metrics(bad: float = 0.0, total: float = 24_500.0) -> tuple[MetricStatus, ...]:
    """What the judge says: nothing of errors, all of the pool."""
    ratio = MetricStatus(
        name="errors",
        verdict=Verdict.CONTINUE,
        canary_total=total,
        canary_bad=bad,
        message="no difference seen yet",
    )
    reason = Reason.CONNECTION_LEAK
    pool = MetricStatus(name="pool", verdict=Verdict.FAIL, reason=reason, message=LEAK[6:])
    return ratio, pool


def ended(reason: Reason, template: str = "5d9f01", **fields: Any) -> HistoryEntry:
    """A release that was rolled back."""
    times: dict[str, Any] = {"started_at": AT - 9000, "ended_at": AT - 8000}
    result = Result.ROLLED_BACK
    return HistoryEntry(template=template, reason=reason, **(times | {"result": result} | fields))


HOLDING = Status(
    phase=Phase.PROGRESSING,
    reason=Reason.GATHERING_EVIDENCE,
    intent=Intent.ADVANCE,
    stable_hash="77aa02",
    release=release(),
    weight=5,
)
"""In the middle of the first step."""


def notice(before: Status, after: Status, *entries: dict[str, Any], at: float = AT) -> Notice:
    """What a pass tells that turned one status into the other."""
    change = Change(spec(*entries), before, after, PODS)
    said = after.message or f"The sentence of {after.reason}."
    return Notice(KEY, at, after.phase, after.reason, said, after.weight, change)


def changed(before: Status, **fields: Any) -> Status:
    """The status after a pass."""
    return before.model_copy(update=fields)


def rolling_back(reason: Reason = Reason.CONNECTION_LEAK, **fields: Any) -> Status:
    """The pass that took the traffic away."""
    leak = reason is Reason.CONNECTION_LEAK
    why = {
        "phase": Phase.ROLLING_BACK,
        "intent": Intent.ROLL_BACK,
        "reason": reason,
        "weight": 0,
        "message": LEAK if leak else f"The sentence of {reason}.",
        "release": release(failed=reason),
        "analysis": metrics(),
    }
    return changed(HOLDING, **(why | fields))


def leak(*entries: dict[str, Any], **fields: Any) -> Notice:
    """The story of the outage, stopped at 5 %."""
    return notice(HOLDING, rolling_back(**fields), *entries)


def rolled_back(reason: Reason = Reason.CONNECTION_LEAK) -> Status:
    """Everything is put back."""
    entry = ended(reason, started_at=AT - 600, ended_at=AT + 9, peak_weight=5)
    over = {"phase": Phase.ROLLED_BACK, "intent": Intent.REST, "release": None}
    return changed(rolling_back(reason), **over, history=(entry,), rejected_hash="5d9f01")


def paused(reason: Reason = Reason.DEADLINE_EXCEEDED) -> Status:
    """The release waits for a person."""
    waiting = release(pause=Pause(reason=reason, since=AT))
    return changed(HOLDING, phase=Phase.PAUSED, reason=reason, release=waiting)


def promoted(*earlier: HistoryEntry) -> tuple[Status, Status]:
    """Before and after the end of a good release; `earlier` is its history, newest first."""
    before = changed(HOLDING, phase=Phase.PROMOTING, intent=Intent.PROMOTE, history=earlier)
    entry = ended(Reason.PROMOTED, result=Result.PROMOTED)
    over = {"phase": Phase.READY, "intent": Intent.REST, "reason": Reason.PROMOTED}
    after = changed(before, **over, release=None, weight=0, history=(entry, *earlier))
    return before, changed(after, stable_hash="5d9f01")


@dataclass
class InMemorySecrets:
    """Secrets in memory."""

    known: dict[str, str]
    asked: list[tuple[str, str]] = field(default_factory=list)

    def read(self, namespace: str, ref: SecretRef) -> str:
        self.asked.append((namespace, ref.name))
        if ref.key not in self.known:
            raise PermanentError(f"Secret {ref.name} in {namespace} has no key {ref.key}")
        return self.known[ref.key]


@dataclass(frozen=True)
class ReceivedRequest:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ScriptedAnswer:
    """What is said to a request; `hang` says nothing until the test is over."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    size: int = 2
    hang: bool = False
    raw: bytes = b""
    """Sent as it is instead of an HTTP answer."""
    drip: bytes = b""
    """Sent, and then another byte now and then until the test is over."""


class WebhookReceiver:
    """A local receiver: `answer` decides by how many requests came before."""

    def __init__(self, answer: Callable[[int], ScriptedAnswer]) -> None:
        self.received: list[ReceivedRequest] = []
        self.sent = 0
        self._answer = answer
        self._over = threading.Event()
        self._came = threading.Condition()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.handle(self)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self._came:
            answer = self._answer(len(self.received))
            headers = {name.lower(): value for name, value in handler.headers.items()}
            self.received.append(ReceivedRequest(handler.path, headers, body))
            self._came.notify_all()
        if answer.hang:
            self._over.wait(PATIENCE)
            return
        with contextlib.suppress(OSError):
            if answer.drip:
                handler.wfile.write(answer.drip)
                while not self._over.wait(0.05):
                    handler.wfile.write(b"x")
            if answer.raw:
                handler.wfile.write(answer.raw)
                return
            handler.send_response(answer.status)
            for name, value in ({"Content-Length": str(answer.size)} | answer.headers).items():
                handler.send_header(name, value)
            handler.end_headers()
            self._pour(handler, answer.size)

    def _pour(self, handler: BaseHTTPRequestHandler, size: int) -> None:
        """Piece by piece, and counted: who hangs up gets no more."""
        while size > 0:
            piece = min(size, 1 << 16)
            handler.wfile.write(b"x" * piece)
            self.sent += piece
            size -= piece

    def until(self, count: int) -> list[ReceivedRequest]:
        """The requests, when so many have come."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.received) >= count, PATIENCE), (
                f"{len(self.received)} of {count} requests came"
            )
            return list(self.received)

    def close(self) -> None:
        self._over.set()
        self._http.shutdown()
        self._thread.join(PATIENCE)
        self._http.server_close()


@contextmanager
def receiver(*answers: ScriptedAnswer) -> Iterator[WebhookReceiver]:
    """One that gives these answers in turn, the last again and again."""
    told = answers or (ScriptedAnswer(),)
    server = WebhookReceiver(lambda count: told[min(count, len(told) - 1)])
    try:
        yield server
    finally:
        server.close()
