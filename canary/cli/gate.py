"""`canary gate`: one command with a meaningful exit code, for pipelines."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from canary.cli.cluster import open_session
from canary.cli.options import (
    Context,
    GitLabFile,
    JunitFile,
    Kubeconfig,
    Name,
    Namespace,
    ResultFormat,
    ResultOutput,
    SummaryFile,
    build_artifacts,
    parse_seconds,
)
from canary.errors import CanaryError, UsageError
from canary.render.terminal import echo

if TYPE_CHECKING:
    from canary.cli.cluster import Session
    from canary.gate.tracking import GateOptions
    from canary.gate.waiter import GateWaiter
    from canary.results.gate_result import GateResult

READ_INTERVAL: Final = 2.0
"""Seconds between two looks where the watch has no news: Deployments are not watched."""
SIGNAL_EXIT_BASE: Final = 128
"""Exit code of a shell for a signal, minus the signal's number."""

Timeout = Annotated[
    float,
    typer.Option(
        parser=parse_seconds,
        metavar="TIME",
        show_default=False,
        help="Wait no longer than this: 90s, 1h30m. 0s: look once.  [default: 30m]",
    ),
]
PauseOk = Annotated[
    bool,
    typer.Option("--pause-ok", help="Go on waiting while it is paused or waits for approval."),
]
Bake = Annotated[bool, typer.Option("--bake", help="Wait for the bake after promotion as well.")]
Next = Annotated[
    bool, typer.Option("--next", help="With nothing to release, wait for the next template.")
]
Image = Annotated[
    str | None,
    typer.Option(
        "--image",
        metavar="IMAGE",
        show_default=False,
        help="Wait until the Deployment wants this image, then for its release (GitOps).",
    ),
]


class SignalReceived(KeyboardInterrupt):
    """The pipeline was cancelled."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = SIGNAL_EXIT_BASE + number


def gate(  # noqa: PLR0913, PLR0917 — one parameter per documented option
    name: Name,
    namespace: Namespace = None,
    timeout: Timeout = 1800.0,
    pause_ok: PauseOk = False,
    bake: Bake = False,
    next_: Next = False,
    image: Image = None,
    junit: JunitFile = None,
    summary: SummaryFile = None,
    gitlab: GitLabFile = None,
    output: ResultOutput = ResultFormat.TEXT,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Wait for the release of what was just deployed to end.

    Follows the template that the Deployment wants now, so an apply just before it counts, and an
    older release never answers for it. Progress goes to standard error, the result to standard
    output.

    Exit code 0: promoted, or nothing to release; 3: rolled back; 4: not ended in time; 5: waits
    for approval or paused; 6: inconclusive or superseded; 7: not there or forbidden; 1: cannot
    start, or something broke; 2: wrong usage; 130, 143: interrupted (the release goes on).
    """
    from canary.gate.tracking import GateOptions  # noqa: PLC0415 - as above
    from canary.results.publishing import publish, write_artifacts  # noqa: PLC0415 - keeps --help quick

    if next_ and image is not None:
        raise UsageError("--next and --image are two ways to say what to wait for: give one")
    chosen = build_artifacts(junit, summary, gitlab, output)
    ask = GateOptions(pause_ok=pause_ok, bake=bake, next=next_, image=image)
    subject = f"{namespace}/{name}" if namespace else name
    try:
        with open_session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
            subject = f"{cluster.namespace}/{name}"
            outcome, code = _wait_for_release(cluster, name, ask, timeout)
    except CanaryError as error:
        from canary.gate.result import error_result  # noqa: PLC0415 - rarely needed

        write_artifacts(error_result(subject, error), chosen)
        raise
    published = publish(outcome, chosen, sys.stdout)
    raise typer.Exit(code or published)


def _wait_for_release(
    cluster: "Session", name: str, ask: "GateOptions", timeout: float
) -> "tuple[GateResult, int]":
    """The outcome, and the exit code where a signal gives it (else 0)."""
    from canary.cli.release_watch import ReleaseWatch  # noqa: PLC0415 - keeps --help quick

    cluster.release(name)  # says "did you mean" where there is none
    vigil = _build_waiter(cluster, name, ask, timeout)
    with ReleaseWatch(cluster, cluster.namespace, name=name) as watch, _handle_signals():
        try:
            return vigil.run(watch.updates(min(READ_INTERVAL, max(timeout, 0.05)))), 0
        except SignalReceived as stop:
            if sys.stderr.isatty():
                echo(err=True)  # after the terminal's own ^C
            outcome = vigil.interrupted()
            if outcome is None:
                raise
            return outcome, stop.code


def _build_waiter(
    cluster: "Session", name: str, ask: "GateOptions", timeout: float
) -> "GateWaiter":
    from canary.clock import now  # noqa: PLC0415 - keeps --help quick
    from canary.gate.cluster import LeaseHealth, read_state  # noqa: PLC0415 - as above
    from canary.gate.waiter import GateWaiter  # noqa: PLC0415 - as above
    from canary.interfaces import Key  # noqa: PLC0415 - as above
    from canary.kube.timing import SystemTiming  # noqa: PLC0415 - as above

    key = Key(cluster.namespace, name)
    lease = Key(
        os.environ.get("CANARY_LEASE_NAMESPACE", "canary-system"),
        os.environ.get("CANARY_LEASE_NAME", "canary-controller"),
    )
    return GateWaiter(
        look=lambda: read_state(cluster.client, key),
        say=_print_progress,
        elapsed=SystemTiming().now,
        pulse=LeaseHealth(cluster.client, lease, now).trouble,
        ask=ask,
        timeout=timeout,
    )


def _print_progress(line: str) -> None:
    from canary.clock import now  # noqa: PLC0415 - keeps --help quick
    from canary.text.format import format_short_time  # noqa: PLC0415 - as above

    echo(f"{format_short_time(now())} {line}", err=True)


@contextmanager
def _handle_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the wait in good order; a second one ends it at once."""

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise SignalReceived(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
