"""`canary status`: where a release is, once or as it goes on."""

from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import Session, session
from canary.cli.options import Context, Kubeconfig, Name, Namespace
from canary.cli.output import DOCUMENTS, DocumentOutput
from canary.errors import UsageError
from canary.render.documents import OutputFormat, format_document, parse_format

if TYPE_CHECKING:
    from canary.render.release_view import ReleaseView

Watching = Annotated[bool, typer.Option("--watch", "-w", help="Go on until the release has ended.")]


def status(  # noqa: PLR0913, PLR0917 - kubectl's flags
    name: Name,
    namespace: Namespace = None,
    watch: Watching = False,
    output: DocumentOutput = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show where a release is: step, weight, evidence.

    And what comes next. With -w a live view on a terminal, in a pipe a line for each change; one
    watch, no polling.

    Exit code 0: at rest or under way, with -w: promoted; 3: rolled back; 5: paused or waiting for
    approval (not with -w, which goes on); 7: no such release, or forbidden.
    """
    form = parse_format(output, DOCUMENTS)
    if watch and form is not OutputFormat.TEXT:
        raise UsageError("-w prints for people: leave out -o, or ask again without -w")
    from canary.cli.sights import sight_of  # noqa: PLC0415 - keeps --help quick
    from canary.render import release_view as seen  # noqa: PLC0415 - as above
    from canary.render import status_text  # noqa: PLC0415 - as above

    with session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        sight = sight_of(cluster.release(name))
        if watch and sight.under_way:
            sight = _watched(cluster, sight)
        elif form is OutputFormat.TEXT:
            _show(sight)
        else:
            typer.echo(format_document(form, status_text.status_document(sight)), nl=False)
    raise typer.Exit(seen.exit_code(sight.status))


def _show(sight: "ReleaseView") -> None:
    from rich.console import Console  # noqa: PLC0415 - keeps --help quick

    from canary.render.status_view import render_status  # noqa: PLC0415 - as above

    Console(highlight=False).print(render_status(sight))


def _watched(cluster: Session, sight: "ReleaseView") -> "ReleaseView":
    """The release when it has ended."""
    from canary.cli.live_status import following  # noqa: PLC0415 - keeps --help quick

    return following(cluster, sight)
