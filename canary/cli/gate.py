"""`canary gate`: waits for a release in a pipeline, with an exit code per result."""

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
    duration_option,
)
from canary.errors import CanaryError, UsageError
from canary.render.terminal import echo

if TYPE_CHECKING:
    from canary.cli.cluster import Session
    from canary.gate.tracking import GateOptions
    from canary.gate.waiter import GateWaiter
    from canary.kube.objects import Object
    from canary.results.gate_result import GateResult

UPDATE_TIMEOUT: Final = 2.0
"""Seconds without an update after which the time-out and the operator's Lease are checked."""
SIGNAL_EXIT_BASE: Final = 128
"""A process that a signal ends has this exit code plus the number of the signal."""

Timeout = Annotated[
    float, duration_option("Maximum time to wait: 90s, 1h30m; 0s checks once.", default="30m")
]
PauseOk = Annotated[
    bool,
    typer.Option(
        "--pause-ok", help="Keep waiting while the release is paused or waits for approval."
    ),
]
Bake = Annotated[bool, typer.Option("--bake", help="Also wait for the bake after the promotion.")]
Next = Annotated[
    bool, typer.Option("--next", help="If there is nothing to release, wait for the next template.")
]
Image = Annotated[
    str | None,
    typer.Option(
        "--image",
        metavar="IMAGE",
        show_default=False,
        help="Wait until the Deployment has this image, then for its release (GitOps).",
    ),
]


class SignalReceived(KeyboardInterrupt):
    """A signal ended the wait, as a canceled pipeline does."""

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

    Tracks the template that the Deployment has now: the result is never that of an older release.
    Progress is printed on standard error, the result on standard output.

    Exit code 0: promoted, or nothing to release; 3: rolled back; 4: timed out; 5: waits for
    approval or paused; 6: inconclusive or superseded; 7: not found or forbidden; 1: cannot start,
    or another error; 2: invalid options; 130, 143: interrupted (the release continues).
    """
    from canary.gate.tracking import GateOptions  # noqa: PLC0415 - as above
    from canary.results.publishing import publish, write_artifacts  # noqa: PLC0415 - keeps --help quick

    if next_ and image is not None:
        raise UsageError("--next cannot be combined with --image")
    chosen = build_artifacts(junit, summary, gitlab, output)
    options = GateOptions(pause_ok=pause_ok, bake=bake, next=next_, image=image)
    subject = f"{namespace}/{name}" if namespace else name
    try:
        with open_session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
            subject = f"{cluster.namespace}/{name}"
            outcome, code = _wait_for_release(cluster, name, options, timeout)
    except CanaryError as error:
        from canary.gate.result import error_result  # noqa: PLC0415 - rarely needed

        write_artifacts(error_result(subject, error), chosen)
        raise
    published = publish(outcome, chosen, sys.stdout)
    raise typer.Exit(code or published)


def _wait_for_release(
    cluster: "Session", name: str, options: "GateOptions", timeout: float
) -> "tuple[GateResult, int]":
    """Return the result, and the exit code of a signal (0 without one)."""
    from canary.kube.release_watch import ReleaseWatch  # noqa: PLC0415 - keeps --help quick

    release = cluster.release(name)  # A mistyped name gets a suggestion.
    waiter = _build_waiter(cluster, release, options, timeout)
    with (
        ReleaseWatch(cluster.transport, cluster.namespace, name=name) as watch,
        _handle_signals(),
    ):
        try:
            return waiter.run(watch.updates(min(UPDATE_TIMEOUT, max(timeout, 0.05)))), 0
        except SignalReceived as stop:
            if sys.stderr.isatty():
                echo(err=True)  # The terminal prints ^C first; the line break ends that line.
            result = waiter.interrupted()
            if result is None:
                raise
            return result, stop.code


def _build_waiter(
    cluster: "Session", release: "Object", options: "GateOptions", timeout: float
) -> "GateWaiter":
    from canary.clock import now  # noqa: PLC0415 - keeps --help quick
    from canary.gate.cluster import ClusterReader, LeaseHealth  # noqa: PLC0415 - as above
    from canary.gate.waiter import GateWaiter  # noqa: PLC0415 - as above
    from canary.interfaces import Key  # noqa: PLC0415 - as above
    from canary.kube.timing import SystemTiming  # noqa: PLC0415 - as above

    elapsed = SystemTiming().now
    key = Key(cluster.namespace, str(release["metadata"]["name"]))
    lease = Key(
        os.environ.get("CANARY_LEASE_NAMESPACE", "canary-system"),
        os.environ.get("CANARY_LEASE_NAME", "canary-controller"),
    )
    return GateWaiter(
        read_state=ClusterReader(cluster.client, key, elapsed, release).read,
        print_line=_print_progress,
        elapsed=elapsed,
        operator_problem=LeaseHealth(cluster.client, lease, now).describe_problem,
        options=options,
        timeout=timeout,
    )


def _print_progress(line: str) -> None:
    from canary.clock import now  # noqa: PLC0415 - keeps --help quick
    from canary.text.format import format_short_time  # noqa: PLC0415 - as above

    echo(f"{format_short_time(now())} {line}", err=True)


@contextmanager
def _handle_signals() -> Iterator[None]:
    """Turn the first Ctrl-C or SIGTERM into SignalReceived; a second one ends the process."""

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
