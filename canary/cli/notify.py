"""`canary notify`: previews or sends a test notification."""

from pathlib import Path
from typing import Annotated

import typer

from canary.errors import ExitCode
from canary.render.terminal import echo

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
    from canary.clock import now  # noqa: PLC0415 - keeps --help quick
    from canary.notify.dry_run import DryRunSettings, load_dry_run  # noqa: PLC0415 - as above

    dry_run = load_dry_run(DryRunSettings(file, reason, over, secrets), now())
    if not send:
        echo("\n".join(dry_run.preview()))
        return
    raise typer.Exit(ExitCode.OK if dry_run.send() else ExitCode.ERROR)
