"""`canary notify`: previews or sends a test notification."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canary.errors import CanaryError, ExitCode, UsageError
from canary.render.terminal import echo

if TYPE_CHECKING:
    from canary.api import Reason
    from canary.api.notify import Notify, SecretRef
    from canary.notify.events import ReleaseEvent
    from canary.notify.formatters import Payload
    from canary.notify.message import Links, Message

DRY_RUN_RELEASE = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: rehearsal}
spec:
  target: {name: rehearsal}
  traffic: {replicas: {}}
  steps: [{weight: 5}]
  analysis: {metrics: [{name: errors, ratio: {preset: http}}]}
"""
"""The release of a test notification to the receivers of the operator."""
RELEASE_KIND = re.compile(rb"""^["']?kind["']?:\s*["']?CanaryRelease""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class NotificationDryRun:
    """The receivers of a file, and the event to notify them of."""

    receivers: "tuple[tuple[str, Notify], ...]"
    event: "ReleaseEvent"
    links: "Links"
    over: bool
    """Send only the resolve event."""

    def messages(self) -> "Iterator[tuple[str, Notify, Message | None]]":
        """Yield the message of each receiver; None if it does not subscribe to this event."""
        from canary.notify.formatters import select_message  # noqa: PLC0415 - keeps --help quick

        for name, entry in self.receivers:
            yield name, entry, select_message(entry, self.event, self.links, fresh=not self.over)


ReceiversFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="File with a CanaryRelease, or with the receivers of the operator (--notify-file).",
    ),
]
SimulatedReason = Annotated[str, typer.Option(metavar="REASON", help="Reason to simulate.")]
Send = Annotated[bool, typer.Option("--send", help="Send the notifications, marked as a test.")]
Resolve = Annotated[
    bool, typer.Option("--resolve", help="Send the resolve event for a simulated incident.")
]
SecretsDirectory = Annotated[
    Path,
    typer.Option(metavar="DIRECTORY", help="Directory with Secrets for --send: files NAME/KEY."),
]


def notify(
    file: ReceiversFile,
    reason: SimulatedReason = "ConnectionLeak",
    send: Send = False,
    over: Resolve = False,
    secrets: SecretsDirectory = Path("/etc/canary/notify-secrets"),
) -> None:
    """Preview the notifications of a release, or send them as a test.

    Without --send nothing is sent and no Secret is read: <NAME/KEY> is printed in its place.

    Exit code 0: printed, or delivered to all receivers; 1: at least one delivery failed; 2: an
    invalid file or option.
    """
    rehearsal = _load_dry_run(file, _parse_reason(reason), over=over)
    if not send:
        for name, entry, message in rehearsal.messages():
            echo("\n".join(_render_preview(name, entry, message, rehearsal.event)))
        return
    arrived = [_send_message(*one, secrets, rehearsal.event.at) for one in rehearsal.messages()]
    raise typer.Exit(ExitCode.OK if all(arrived) else ExitCode.ERROR)


def _parse_reason(name: str) -> "Reason":
    from canary.api import describe_unknown  # noqa: PLC0415 - keeps --help quick
    from canary.notify.dry_run import DRY_RUN_REASONS  # noqa: PLC0415 - as above

    found = {one.value: one for one in sorted(DRY_RUN_REASONS)}
    if name not in found:
        raise UsageError(f"--reason: {describe_unknown('reason', name, list(found))}")
    return found[name]


def _load_dry_run(file: Path, reason: "Reason", *, over: bool) -> NotificationDryRun:
    """Load the file. Raises UsageError if it is neither, or has no receiver."""
    from canary.api import load_release  # noqa: PLC0415 - keeps --help quick
    from canary.clock import now  # noqa: PLC0415 - as above
    from canary.interfaces import Key  # noqa: PLC0415 - as above
    from canary.notify.config import load_notify  # noqa: PLC0415 - as above
    from canary.notify.dry_run import build_dry_run  # noqa: PLC0415 - as above
    from canary.notify.message import Links  # noqa: PLC0415 - as above

    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    of_release = RELEASE_KIND.search(content) is not None
    release = load_release(content if of_release else DRY_RUN_RELEASE, str(file))
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
    event = build_dry_run(key, release.spec, reason, now())
    if over:
        ended = (event.incident,) if event.incident is not None else ()
        event = replace(event, incident=None, resolved=ended)
    return NotificationDryRun(receivers, event, links, over)


def _render_preview(
    name: str, entry: "Notify", message: "Message | None", event: "ReleaseEvent"
) -> Iterator[str]:
    from canary.notify.formatters import format_message  # noqa: PLC0415 - keeps --help quick

    label = name if name == entry.kind else f"{name} ({entry.kind})"
    if message is None:
        yield f"{label} is not notified of {event.reason}.\n"
        return
    yield f"{label} is notified of {event.reason}:"
    for payload in format_message(message, entry, _secret_placeholder(entry), event.at):
        yield from _render_payload(payload)


def _secret_placeholder(entry: "Notify") -> str:
    """Return the text that is printed in place of a Secret."""
    ref: SecretRef | None = entry.secret
    if ref is None:
        return ""
    address = entry.kind in {"slack", "teams", "alertmanager"}
    return f"{'https://' if address else ''}<{ref.name}/{ref.key}>"


def _render_payload(payload: "Payload") -> Iterator[str]:
    from canary.notify.message import HttpPayload  # noqa: PLC0415 - keeps --help quick

    if isinstance(payload, HttpPayload):
        yield f"POST {payload.url}"
        signed = [name for name in payload.headers if name.startswith("webhook-")]
        yield from (f"{name}: …" for name in signed)
        yield json.dumps(json.loads(payload.body), indent=2, ensure_ascii=False) + "\n"
    else:
        yield f"TO {payload.url} ({payload.tone})\n{payload.title}\n{payload.body}\n"


def _send_message(
    name: str, entry: "Notify", message: "Message | None", folder: Path, now: float
) -> bool:
    """Return whether it was delivered, or not needed."""
    from canary.http.addresses import EVERYWHERE  # noqa: PLC0415 - keeps --help quick
    from canary.notify.formatters import format_message  # noqa: PLC0415 - keeps --help quick
    from canary.notify.secrets import MountedSecrets  # noqa: PLC0415 - as above
    from canary.notify.sender import PayloadSender  # noqa: PLC0415 - as above

    if message is None:
        echo(f"{name}: not notified")
        return True
    try:
        secret = "" if entry.secret is None else MountedSecrets(folder).read("", entry.secret)
        for payload in format_message(message, entry, secret, now):
            PayloadSender(EVERYWHERE).send(payload, now)
    except CanaryError as error:
        echo(f"{name}: not delivered: {error}", err=True)
        return False
    echo(f"{name}: delivered")
    return True
