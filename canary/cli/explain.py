"""`canary explain`: why a release is where it is, and what can be done."""

import shutil
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from canary.cli.cluster import session
from canary.cli.options import Context, Kubeconfig, Name, Namespace
from canary.cli.output import DOCUMENTS, DocumentOutput
from canary.render.documents import OutputFormat, format_document, parse_format

if TYPE_CHECKING:
    from canary.render.explain import ExplainLine

WIDEST = 100
LABEL = 11


def explain(
    name: Name,
    namespace: Namespace = None,
    output: DocumentOutput = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say why a release is where it is, and what you can do.

    And what it waits for. After a rollback: which metric, both versions' figures, the evidence,
    the PromQL to paste, the pods, the runbook.

    Exit code 0: explained; 7: no such release, or forbidden.
    """
    form = parse_format(output, DOCUMENTS)
    from canary.cli.diagnostics import around  # noqa: PLC0415 - keeps --help quick
    from canary.cli.sights import sight_of  # noqa: PLC0415 - as above
    from canary.render import explain as rendered  # noqa: PLC0415 - as above

    with session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        found = cluster.release(name)
        sight = sight_of(found)
        beside = around(cluster, found, sight)
    if form is not OutputFormat.TEXT:
        typer.echo(format_document(form, rendered.explain_document(sight, beside)), nl=False)
        return
    width = min(shutil.get_terminal_size().columns, WIDEST)
    for line in rendered.explain_release(sight, beside):
        for words in _laid_out(line, width):
            typer.echo(words)


def _laid_out(line: "ExplainLine", width: int) -> Iterator[str]:
    """Label and text; a long label, or something to paste, has lines of its own."""
    from canary.text.sanitize import strip_controls  # noqa: PLC0415 - keeps --help quick

    text = strip_controls(line.text) + (f"  # {line.aside}" if line.aside else "")
    if not line.wrapped and len(line.label) >= LABEL:
        yield from (line.label, f"{'':<{LABEL}}{text}")
        return
    room = max(width - max(LABEL, len(line.label) + 2), 20)
    pieces = textwrap.wrap(text, room) if line.wrapped else [text]
    for number, piece in enumerate(pieces or [""]):
        label = line.label if number == 0 else ""
        gap = "  " if len(label) >= LABEL else ""
        yield f"{label:<{LABEL}}{gap}{piece}".rstrip()
