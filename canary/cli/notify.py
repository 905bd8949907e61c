"""`canary notify`: what receivers would be told of a release, and a rehearsal of it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canary.errors import CanaryError, ExitCode, UsageError

if TYPE_CHECKING:
    from canary.api import Reason
    from canary.api.notify import Notify, SecretRef
    from canary.notify.events import News
    from canary.notify.formatters import Parcel
    from canary.notify.message import Letter, Links

SPEC = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: rehearsal}
spec:
  target: {name: rehearsal}
  traffic: {replicas: {}}
  steps: [{weight: 5}]
  analysis: {metrics: [{name: errors, ratio: {preset: http}}]}
"""
"""What the operator's receivers are told of: a release of no team's."""
OF_RELEASE = re.compile(rb"""^["']?kind["']?:\s*["']?CanaryRelease""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the file asks for: receivers and their names, what they are told, and links."""

    receivers: "tuple[tuple[str, Notify], ...]"
    news: "News"
    links: "Links"
    over: bool
    """Only what is over is told."""

    def letters(self) -> "Iterator[tuple[str, Notify, Letter | None]]":
        """For each receiver; None where these news are not for it."""
        from canary.notify.formatters import letter_for  # noqa: PLC0415 - keeps --help quick

        for name, entry in self.receivers:
            yield name, entry, letter_for(entry, self.news, self.links, fresh=not self.over)


def notify(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A CanaryRelease, or the operator's receivers (--notify-file)."
        ),
    ],
    reason: Annotated[
        str, typer.Option(metavar="REASON", help="Reason to simulate.")
    ] = "ConnectionLeak",
    send: Annotated[bool, typer.Option("--send", help="Send it, marked as a rehearsal.")] = False,
    over: Annotated[
        bool,
        typer.Option("--resolve", help="Send the resolve event for a simulated incident."),
    ] = False,
    secrets: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Secrets for --send, in files NAME/KEY.")
    ] = Path("/etc/canary/notify-secrets"),
) -> None:
    """Show what receivers would be told of a release, or tell them.

    Without --send nothing is sent and no Secret is read: <NAME/KEY> stands in its place.

    Exit code 0: shown, or delivered to all who are told; 1: at least one was not; 2: a wrong file
    or option.
    """
    rehearsal = _rehearsal(file, _reason(reason), over=over)
    if not send:
        for name, entry, letter in rehearsal.letters():
            typer.echo("\n".join(_shown(name, entry, letter, rehearsal.news)))
        return
    arrived = [_sent(*one, secrets, rehearsal.news.at) for one in rehearsal.letters()]
    raise typer.Exit(ExitCode.OK if all(arrived) else ExitCode.ERROR)


def _reason(name: str) -> "Reason":
    from canary.api import describe_unknown  # noqa: PLC0415 - keeps --help quick
    from canary.notify.dry_run import REHEARSED  # noqa: PLC0415 - as above

    found = {one.value: one for one in sorted(REHEARSED)}
    if name not in found:
        raise UsageError(f"--reason: {describe_unknown('reason', name, list(found))}")
    return found[name]


def _rehearsal(file: Path, reason: "Reason", *, over: bool) -> Rehearsal:
    """Raises UsageError for a file that is neither, or has no receiver."""
    from canary.api import load_release  # noqa: PLC0415 - keeps --help quick
    from canary.clock import now  # noqa: PLC0415 - as above
    from canary.interfaces import Key  # noqa: PLC0415 - as above
    from canary.notify.config import load_notify  # noqa: PLC0415 - as above
    from canary.notify.dry_run import rehearsed  # noqa: PLC0415 - as above
    from canary.notify.message import Links  # noqa: PLC0415 - as above

    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    of_release = OF_RELEASE.search(content) is not None
    release = load_release(content if of_release else SPEC, str(file))
    receivers = tuple((entry.kind, entry) for entry in release.spec.notify)
    links = Links()
    if not of_release:
        loaded = load_notify(file)
        receivers = tuple((route.name, route) for route in loaded.receivers)
        links = loaded.pages()
    if not receivers:
        where = "spec.notify" if of_release else "receivers"
        raise UsageError(f"{file}: at least one receiver in {where} is expected, found none")
    key = Key(release.metadata.namespace, release.metadata.name)
    news = rehearsed(key, release.spec, reason, now())
    if over:
        ended = (news.incident,) if news.incident is not None else ()
        news = replace(news, incident=None, resolved=ended)
    return Rehearsal(receivers, news, links, over)


def _shown(name: str, entry: "Notify", letter: "Letter | None", news: "News") -> Iterator[str]:
    from canary.notify.formatters import formed  # noqa: PLC0415 - as above

    label = name if name == entry.kind else f"{name} ({entry.kind})"
    if letter is None:
        yield f"{label} is not told of {news.reason}.\n"
        return
    yield f"{label} is told of {news.reason}:"
    for parcel in formed(letter, entry, _stand_in(entry), news.at):
        yield from _written(parcel)


def _stand_in(entry: "Notify") -> str:
    """What is shown in a Secret's place."""
    ref: SecretRef | None = entry.secret
    if ref is None:
        return ""
    address = entry.kind in {"slack", "teams", "alertmanager"}
    return f"{'https://' if address else ''}<{ref.name}/{ref.key}>"


def _written(parcel: "Parcel") -> Iterator[str]:
    from canary.notify.message import Post  # noqa: PLC0415 - keeps --help quick

    if isinstance(parcel, Post):
        yield f"POST {parcel.url}"
        signed = [name for name in parcel.headers if name.startswith("webhook-")]
        yield from (f"{name}: …" for name in signed)
        yield json.dumps(json.loads(parcel.body), indent=2, ensure_ascii=False) + "\n"
    else:
        yield f"TO {parcel.url} ({parcel.tone})\n{parcel.title}\n{parcel.body}\n"


def _sent(name: str, entry: "Notify", letter: "Letter | None", folder: Path, now: float) -> bool:
    """Whether it arrived, or was not for this receiver."""
    from canary.http.addresses import EVERYWHERE  # noqa: PLC0415 - keeps --help quick
    from canary.notify.formatters import formed  # noqa: PLC0415 - keeps --help quick
    from canary.notify.secrets import MountedSecrets  # noqa: PLC0415 - as above
    from canary.notify.sender import Sender  # noqa: PLC0415 - as above

    if letter is None:
        typer.echo(f"{name}: not told")
        return True
    try:
        secret = "" if entry.secret is None else MountedSecrets(folder).read("", entry.secret)
        for parcel in formed(letter, entry, secret, now):
            Sender(EVERYWHERE).send(parcel, now)
    except CanaryError as error:
        typer.echo(f"{name}: not delivered: {error}", err=True)
        return False
    typer.echo(f"{name}: delivered")
    return True
