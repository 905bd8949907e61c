"""What a shell offers after Tab: names from the cluster, soon or not at all.

A completion must neither hang nor print: no cluster, no rights or no answer within two seconds
mean that nothing is offered.
"""

import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout, suppress
from io import StringIO
from queue import Empty, Queue
from threading import Thread

import typer

SECONDS = 2.0
"""How long a shell waits for an answer."""


def complete_releases(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of CanaryReleases in the namespace that the line names so far."""
    taken = ctx.params.get("names") or ()
    found = within(lambda: _names("canaryreleases", ctx))
    return [name for name in found if name.startswith(incomplete) and name not in taken]


def complete_namespaces(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of namespaces."""
    found = within(lambda: _names("namespaces", ctx))
    return [name for name in found if name.startswith(incomplete)]


def complete_contexts(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the kubeconfig's contexts."""
    found = within(lambda: _contexts(ctx))
    return [name for name in found if name.startswith(incomplete)]


def within(read: Callable[[], Iterable[str]], seconds: float = SECONDS) -> list[str]:
    """What `read` gives, sorted; nothing when it fails or takes longer."""
    answers: Queue[list[str]] = Queue()

    def work() -> None:
        try:
            answers.put(sorted(read()))
        except Exception:  # noqa: BLE001 - a word on the prompt would be worse than no help
            answers.put([])

    Thread(target=work, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except Empty:
        return []


def suggest(words: Sequence[str]) -> None:
    """Prints what may come next, as kubectl's plugins do."""
    from canary.cli.main import COMMANDS, app_of  # noqa: PLC0415 - imports this module

    line = shlex.join(["canary", *words[:-1]]) + f" {words[-1] if words else ''}"
    os.environ |= {
        "_CANARY_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": line,
    }
    with suppress(SystemExit), redirect_stdout(StringIO()) as found:
        app_of(COMMANDS)(prog_name="canary")
    for suggestion in filter(None, found.getvalue().splitlines()):
        typer.echo(suggestion)
    typer.echo(":4")


def _contexts(ctx: typer.Context) -> list[str]:
    from canary.cli.kubeconfig import contexts  # noqa: PLC0415 - keeps --help quick

    return contexts(ctx.params.get("kubeconfig"))


def _names(what: str, ctx: typer.Context) -> list[str]:
    from canary.cli.cluster import session  # noqa: PLC0415 - imports this module
    from canary.cli.suggestions import NAMESPACES  # noqa: PLC0415 - keeps --help quick
    from canary.kube.objects import RELEASES  # noqa: PLC0415 - as above

    given = ctx.params
    with session(
        given.get("namespace"), context=given.get("context"), kubeconfig=given.get("kubeconfig")
    ) as cluster:
        kind = NAMESPACES if what == "namespaces" else RELEASES
        everywhere = kind is NAMESPACES or given.get("all_namespaces")
        found = cluster.client.list(kind, "" if everywhere else cluster.namespace, {})
    return [item["metadata"]["name"] for item in found]
