"""`canary status`: shows the state of a release, once or live."""

from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import Session, open_session
from canary.cli.options import (
    DOCUMENT_FORMATS,
    Context,
    DocumentOutput,
    Kubeconfig,
    Name,
    Namespace,
)
from canary.errors import UsageError
from canary.render.console import SafeConsole
from canary.render.documents import OutputFormat, format_document, parse_format
from canary.render.terminal import echo

if TYPE_CHECKING:
    from canary.render.release_view import ReleaseView

Watch = Annotated[bool, typer.Option("--watch", "-w", help="Watch until the release has ended.")]


def status(  # noqa: PLR0913, PLR0917 - kubectl's flags
    name: Name,
    namespace: Namespace = None,
    watch: Watch = False,
    output: DocumentOutput = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show the state of a release: step, weight, evidence.

    Also shows what comes next. With -w it shows a live display on a terminal and prints a line per
    change in a pipe, with one watch and no polling.

    Exit code 0: idle or in progress, with -w: promoted; 3: rolled back; 5: paused or waiting for
    approval (-w continues to watch instead); 7: no such release, or forbidden.
    """
    form = parse_format(output, DOCUMENT_FORMATS)
    if watch and form is not OutputFormat.TEXT:
        raise UsageError("-w cannot be combined with -o")
    from canary.cli.release_watch import view_of  # noqa: PLC0415 - keeps --help quick
    from canary.render import release_view, status_text  # noqa: PLC0415 - as above

    with open_session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        sight = view_of(cluster.release(name))
        if watch and sight.under_way:
            sight = _watch_release(cluster, sight)
        elif form is OutputFormat.TEXT:
            _print_status(sight)
        else:
            echo(format_document(form, status_text.status_document(sight)), nl=False)
    raise typer.Exit(release_view.exit_code(sight.status))


def _print_status(sight: "ReleaseView") -> None:

    from canary.render.status_view import render_status  # noqa: PLC0415 - as above

    SafeConsole(highlight=False).print(render_status(sight))


def _watch_release(cluster: Session, sight: "ReleaseView") -> "ReleaseView":
    """Return the release once it has ended."""
    from canary.cli.release_watch import follow_release  # noqa: PLC0415 - keeps --help quick

    return follow_release(cluster, sight)
