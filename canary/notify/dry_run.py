"""Events of a simulated release, previewed or sent, to test receivers before the first incident."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from canary.api import (
    HistoryEntry,
    Intent,
    MetricStatus,
    Pause,
    Phase,
    Reason,
    ReasonKind,
    Release,
    Result,
    Spec,
    Status,
    Verdict,
    describe_unknown,
    load_release,
)
from canary.api.notify import Notify
from canary.errors import CanaryError, UsageError
from canary.http.addresses import EVERYWHERE
from canary.interfaces import Change, Key, Notice
from canary.notify.config import load_notify
from canary.notify.events import NOT_ROLLBACKS, ReleaseEvent, event_from_notice
from canary.notify.formatters import Payload, format_message, select_message
from canary.notify.message import HttpPayload, Links, Message
from canary.notify.secrets import MountedSecrets
from canary.notify.sender import PayloadSender
from canary.render.terminal import echo

ROLLBACK_REASONS = (
    frozenset(reason for reason in Reason if reason.info.kind is ReasonKind.ROLLBACK)
    - NOT_ROLLBACKS
)
STUCK_REASONS = frozenset(reason for reason in Reason if reason.info.needs_person)
DRY_RUN_REASONS = (
    ROLLBACK_REASONS | STUCK_REASONS | {Reason.APPROVAL_NEEDED, Reason.PROMOTED, Reason.STARTED}
)
"""Reasons that can be simulated."""
_POD = "canary-0"
_LEAK = "leaks 1 connection per 4,900 requests; the pool of 50 is empty in 68 min"
_VERSION, _STABLE = "simulated", "stable"


_RELEASE = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: simulated}
spec:
  target: {name: simulated}
  traffic: {replicas: {}}
  steps: [{weight: 5}]
  analysis: {metrics: [{name: errors, ratio: {preset: http}}]}
"""
"""The release of a test notification to the receivers of the operator."""
_RELEASE_KIND = re.compile(rb"""^["']?kind["']?:\s*["']?CanaryRelease""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class DryRunSettings:
    """The options as given."""

    file: Path
    """A CanaryRelease, or the receivers of the operator."""
    reason: str
    resolve: bool
    """Send only the resolve event."""
    secrets: Path
    """Directory with a file NAME/KEY for each Secret."""


@dataclass(frozen=True, slots=True)
class NotificationDryRun:
    """The receivers of a file, and the event to notify them of."""

    receivers: tuple[tuple[str, Notify], ...]
    event: ReleaseEvent
    links: Links
    settings: DryRunSettings

    def preview(self) -> Iterator[str]:
        """Yield what each receiver would get, with <NAME/KEY> in place of Secrets."""
        for name, entry, message in self._list_messages():
            yield from _render_preview(name, entry, message, self.event)

    def send(self) -> bool:
        """Notify all receivers; return whether all deliveries succeeded."""
        arrived = [self._send_message(*one) for one in self._list_messages()]
        return all(arrived)

    def _list_messages(self) -> Iterator[tuple[str, Notify, Message | None]]:
        """Yield the message of each receiver; None if it does not subscribe to this event."""
        for name, entry in self.receivers:
            fresh = not self.settings.resolve
            yield name, entry, select_message(entry, self.event, self.links, fresh=fresh)

    def _send_message(self, name: str, entry: Notify, message: Message | None) -> bool:
        """Return whether it was delivered, or not needed."""
        if message is None:
            echo(f"{name}: not notified")
            return True
        now, secrets = self.event.at, MountedSecrets(self.settings.secrets)
        try:
            secret = "" if entry.secret is None else secrets.read("", entry.secret)
            for payload in format_message(message, entry, secret, now):
                PayloadSender(EVERYWHERE).send(payload, now)
        except CanaryError as error:
            echo(f"{name}: not delivered: {error}", err=True)
            return False
        echo(f"{name}: delivered")
        return True


def load_dry_run(settings: DryRunSettings, now: float) -> NotificationDryRun:
    """Load the file. Raises UsageError for an unknown reason, or a file without receivers."""
    reason, file = _parse_reason(settings.reason), settings.file
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    of_release = _RELEASE_KIND.search(content) is not None
    release = load_release(content if of_release else _RELEASE, str(file))
    receivers = tuple((entry.kind, entry) for entry in release.spec.notify)
    links = Links()
    if not of_release:
        loaded = load_notify(file)
        receivers = tuple((route.name, route) for route in loaded.receivers)
        links = loaded.pages()
    if not receivers:
        where = "spec.notify" if of_release else "receivers"
        raise UsageError(f"{file}: {where}: expected at least one receiver, found none")
    key = Key(release.metadata.namespace, release.metadata.name)
    event = build_dry_run(key, release.spec, reason, now)
    if settings.resolve:
        ended = (event.incident,) if event.incident is not None else ()
        event = replace(event, incident=None, resolved=ended)
    return NotificationDryRun(receivers, event, links, settings)


def _parse_reason(name: str) -> Reason:
    found = {one.value: one for one in sorted(DRY_RUN_REASONS)}
    if name not in found:
        raise UsageError(f"--reason: {describe_unknown('reason', name, list(found))}")
    return found[name]


def _render_preview(
    name: str, entry: Notify, message: Message | None, event: ReleaseEvent
) -> Iterator[str]:
    label = name if name == entry.kind else f"{name} ({entry.kind})"
    if message is None:
        yield f"{label} is not notified of {event.reason}.\n"
        return
    yield f"{label} is notified of {event.reason}:"
    for payload in format_message(message, entry, _secret_placeholder(entry), event.at):
        yield from _render_payload(payload)


def _secret_placeholder(entry: Notify) -> str:
    """Return the text that is printed in place of a Secret."""
    if entry.secret is None:
        return ""
    address = entry.kind in {"slack", "teams", "alertmanager"}
    return f"{'https://' if address else ''}<{entry.secret.name}/{entry.secret.key}>"


def _render_payload(payload: Payload) -> Iterator[str]:
    if isinstance(payload, HttpPayload):
        yield f"POST {payload.url}"
        signed = [name for name in payload.headers if name.startswith("webhook-")]
        yield from (f"{name}: …" for name in signed)
        yield json.dumps(json.loads(payload.body), indent=2, ensure_ascii=False) + "\n"
    else:
        yield f"TO {payload.url} ({payload.tone})\n{payload.title}\n{payload.body}\n"


def build_dry_run(key: Key, spec: Spec, reason: Reason, now: float) -> ReleaseEvent:
    """Return an event with this reason for a release at its first step; `now` in seconds."""
    weight = spec.steps[0].weight
    before = Status(
        phase=Phase.PROGRESSING,
        reason=Reason.GATHERING_EVIDENCE,
        intent=Intent.ADVANCE,
        stable_hash=_STABLE,
        release=_build_release(now, weight),
        weight=weight,
    )
    message = _build_message(spec, reason)
    after = before.model_copy(update={"reason": reason, "message": message})
    after = after.model_copy(update=_status_change(spec, reason, before, now))
    if reason is Reason.STARTED:
        before = before.model_copy(update={"release": None, "phase": Phase.READY})
    change = Change(spec, before, after, (f"{spec.target.name}-{_POD}",))
    event = event_from_notice(Notice(key, now, after.phase, reason, message, after.weight, change))
    if event is None:
        raise LookupError("a notice with a change always yields an event")
    return replace(event, headline=f"Simulation, nothing happened: {event.headline}")


def _build_release(now: float, weight: int) -> Release:
    return Release(template=_VERSION, started_at=now, replicas=2, peak_weight=weight)


def _build_message(spec: Spec, reason: Reason) -> str:
    if reason is Reason.CONNECTION_LEAK:
        return f"{spec.target.name}-{_POD} {_LEAK}"
    return reason.info.sentence


def _status_change(spec: Spec, reason: Reason, before: Status, now: float) -> dict[str, object]:
    """Return the status fields that lead to this reason."""
    if reason.info.needs_person:
        pause = Pause(reason=reason, since=now)
        release = _build_release(now, before.weight).model_copy(update={"pause": pause})
        return {"phase": Phase.PAUSED, "release": release}
    match reason:
        case Reason.APPROVAL_NEEDED:
            return {"phase": Phase.WAITING_FOR_APPROVAL}
        case Reason.STARTED:
            return {"phase": Phase.PREPARING, "weight": 0}
        case Reason.PROMOTED:
            return {
                "phase": Phase.READY,
                "release": None,
                "weight": 0,
                "history": (_history_entry(now, before.weight),),
            }
        case _:
            return {
                "phase": Phase.ROLLING_BACK,
                "intent": Intent.ROLL_BACK,
                "weight": 0,
                "analysis": _build_analysis(spec, reason),
            }


def _history_entry(now: float, weight: int) -> HistoryEntry:
    return HistoryEntry(
        template=_VERSION,
        result=Result.PROMOTED,
        reason=Reason.PROMOTED,
        started_at=now,
        ended_at=now,
        peak_weight=weight,
    )


def _build_analysis(spec: Spec, reason: Reason) -> tuple[MetricStatus, ...]:
    """Return metrics without bad requests for pool reasons, else with some."""
    bad = 0.0 if reason.info.about_pool else 12.0
    return tuple(
        MetricStatus(
            name=metric.name,
            verdict=Verdict.CONTINUE,
            canary_total=4900.0,
            canary_bad=bad,
            message="simulated, nothing was measured",
        )
        for metric in spec.analysis.metrics
    )
