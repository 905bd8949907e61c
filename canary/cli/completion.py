"""Shell completion of names from the cluster.

A completion must neither hang nor print: without a cluster, permission or response within two
seconds it offers nothing.
"""

import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout, suppress
from io import StringIO
from queue import Empty, Queue
from threading import Thread

import typer

from canary.render.terminal import echo

TIMEOUT_SECONDS = 2.0
TIMEOUT_VARIABLE = "CANARY_COMPLETION_TIMEOUT"
"""Environment variable with another number of seconds, for slow machines."""
"""How long a shell waits for a response."""


def complete_releases(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of CanaryReleases in the namespace given so far."""
    taken = ctx.params.get("names") or ()
    found = read_within(lambda: _list_names("canaryreleases", ctx))
    return [name for name in found if name.startswith(incomplete) and name not in taken]


def complete_namespaces(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of namespaces."""
    found = read_within(lambda: _list_names("namespaces", ctx))
    return [name for name in found if name.startswith(incomplete)]


def complete_contexts(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of contexts in the kubeconfig."""
    found = read_within(lambda: _list_contexts(ctx))
    return [name for name in found if name.startswith(incomplete)]


def read_within(read: Callable[[], Iterable[str]], seconds: float | None = None) -> list[str]:
    """Return the sorted result of `read`; nothing if it fails or takes longer."""
    answers: Queue[list[str]] = Queue()

    def work() -> None:
        try:
            answers.put(sorted(read()))
        except Exception:  # noqa: BLE001 - an error on the prompt is worse than no completion
            answers.put([])

    Thread(target=work, daemon=True).start()
    try:
        return answers.get(timeout=_timeout_seconds() if seconds is None else seconds)
    except Empty:
        return []


def _timeout_seconds() -> float:
    try:
        return float(os.environ[TIMEOUT_VARIABLE])
    except (KeyError, ValueError):
        return TIMEOUT_SECONDS


def print_suggestions(words: Sequence[str]) -> None:
    """Print the completions of a command line, in the format of kubectl plugins."""
    from canary.cli.main import COMMANDS, build_app  # noqa: PLC0415 - imports this module

    line = shlex.join(["canary", *words[:-1]]) + f" {words[-1] if words else ''}"
    os.environ |= {
        "_CANARY_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": line,
    }
    with suppress(SystemExit), redirect_stdout(StringIO()) as found:
        build_app(COMMANDS)(prog_name="canary")
    for suggestion in filter(None, found.getvalue().splitlines()):
        echo(suggestion)
    echo(":4")


def _list_contexts(ctx: typer.Context) -> list[str]:
    from canary.cli.kubeconfig import list_contexts  # noqa: PLC0415 - keeps --help quick

    return list_contexts(ctx.params.get("kubeconfig"))


def _list_names(plural: str, ctx: typer.Context) -> list[str]:
    from canary.cli.cluster import open_session  # noqa: PLC0415 - imports this module
    from canary.cli.suggestions import NAMESPACES  # noqa: PLC0415 - keeps --help quick
    from canary.kube.objects import RELEASES  # noqa: PLC0415 - as above

    given = ctx.params
    with open_session(
        given.get("namespace"), context=given.get("context"), kubeconfig=given.get("kubeconfig")
    ) as cluster:
        kind = NAMESPACES if plural == "namespaces" else RELEASES
        everywhere = kind is NAMESPACES or given.get("all_namespaces")
        found = cluster.client.list(kind, "" if everywhere else cluster.namespace, {})
    return [item["metadata"]["name"] for item in found]
