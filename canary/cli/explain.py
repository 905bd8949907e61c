"""`canary explain`: why a release is in its state, and what to do."""

import shutil
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from canary.cli.cluster import open_session
from canary.cli.options import (
    DOCUMENT_FORMATS,
    Context,
    DocumentOutput,
    Kubeconfig,
    Name,
    Namespace,
)
from canary.render.documents import OutputFormat, format_document, parse_format
from canary.render.terminal import echo

if TYPE_CHECKING:
    from canary.render.explain import ExplainLine

MAX_WIDTH = 100
LABEL_WIDTH = 11


def explain(
    name: Name,
    namespace: Namespace = None,
    output: DocumentOutput = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Explain why a release is in its state, and what to do.

    Also explains what the release waits for. After a rollback: the metric that failed, the values
    of both versions, the evidence, PromQL to paste, the pods and the runbook.

    Exit code 0: explained; 7: no such release, or forbidden.
    """
    form = parse_format(output, DOCUMENT_FORMATS)
    from canary.cli.release_watch import view_of  # noqa: PLC0415 - keeps --help quick
    from canary.render import explain as rendered  # noqa: PLC0415 - as above
    from canary.report.diagnostics import read_diagnostics  # noqa: PLC0415 - as above

    with open_session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        found = cluster.release(name)
        sight = view_of(found)
        diagnostics = read_diagnostics(cluster.client, found, sight)
    if form is not OutputFormat.TEXT:
        echo(format_document(form, rendered.explain_document(sight, diagnostics)), nl=False)
        return
    width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    for line in rendered.explain_release(sight, diagnostics):
        for words in _wrap_line(line, width):
            echo(words)


def _wrap_line(line: "ExplainLine", width: int) -> Iterator[str]:
    """Yield label and text; a long label before text to paste gets its own line."""
    from canary.text.sanitize import strip_controls  # noqa: PLC0415 - keeps --help quick

    text = strip_controls(line.text) + (f"  # {line.aside}" if line.aside else "")
    if not line.wrapped and len(line.label) >= LABEL_WIDTH:
        yield from (line.label, f"{'':<{LABEL_WIDTH}}{text}")
        return
    room = max(width - max(LABEL_WIDTH, len(line.label) + 2), 20)
    pieces = textwrap.wrap(text, room) if line.wrapped else [text]
    for number, piece in enumerate(pieces or [""]):
        label = line.label if number == 0 else ""
        gap = "  " if len(label) >= LABEL_WIDTH else ""
        yield f"{label:<{LABEL_WIDTH}}{gap}{piece}".rstrip()
