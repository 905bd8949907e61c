"""Notices as the reconcile pass makes them, and an HTTP server that remembers what it was sent."""

import json
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler
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
from tests.http_server import HttpServer, answer_in_turn, wait_until_closed

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


class WebhookReceiver(HttpServer):
    """Gives these answers in turn, the last again and again."""

    def __init__(self, *answers: ScriptedAnswer) -> None:
        self.sent = 0
        """Bytes of bodies."""
        acts = [partial(self._play, one) for one in answers or (ScriptedAnswer(),)]
        super().__init__(answer_in_turn(*acts))

    def _play(self, answer: ScriptedAnswer, http: BaseHTTPRequestHandler) -> None:
        http.close_connection = True
        if answer.hang:
            wait_until_closed(http)
            return
        if answer.drip:
            http.wfile.write(answer.drip)
            while not self.closed.wait(0.05):
                http.wfile.write(b"x")
        if answer.raw:
            http.wfile.write(answer.raw)
            return
        http.send_response(answer.status)
        for name, value in ({"Content-Length": str(answer.size)} | answer.headers).items():
            http.send_header(name, value)
        http.end_headers()
        for size in (*[1 << 16] * (answer.size >> 16), answer.size % (1 << 16)):
            http.wfile.write(b"x" * size)  # piece by piece: a client that hangs up gets no more
            self.sent += size
