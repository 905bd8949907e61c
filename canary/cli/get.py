"""`canary get`: releases as a table, or as a machine wants them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import Session, session
from canary.cli.options import AllNamespaces, Context, Kubeconfig, Labels, Namespace, SomeNames
from canary.cli.output import TABLES, TableOutput
from canary.errors import UsageError
from canary.render.documents import OutputFormat, format_objects, parse_format

if TYPE_CHECKING:
    from canary.kube.objects import Object

Watching = Annotated[
    bool, typer.Option("--watch", "-w", help="Watch, and print a line per change.")
]


def get(  # noqa: PLR0913, PLR0917 - kubectl's flags
    names: SomeNames = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    labels: Labels = None,
    watch: Watching = False,
    output: TableOutput = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List releases: phase, step, weight, verdict, reason.

    `canary list` is the same.

    Exit code 0: listed, even if there is none; 1: no cluster; 2: wrong options; 7: no such release,
    or forbidden.
    """
    form = parse_format(output, TABLES)
    _refuse(names, labels, form, everywhere=all_namespaces, watch=watch)
    with session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        where = "" if all_namespaces else cluster.namespace
        if watch:
            _watched(cluster, where, names, labels or "", wide=form is OutputFormat.WIDE)
        _listed(cluster, where, names, labels or "", form)


def _refuse(
    names: Sequence[str] | None,
    labels: str | None,
    form: OutputFormat,
    *,
    everywhere: bool,
    watch: bool,
) -> None:
    if names and (everywhere or labels):
        raise UsageError("names cannot be combined with -A or -l")
    if watch and form not in {OutputFormat.TEXT, OutputFormat.WIDE}:
        raise UsageError("-w prints lines for people: leave out -o, or use -o wide")
    if watch and names and len(names) > 1:
        raise UsageError("-w watches one release by name, or all: leave out the other names")


def _listed(
    cluster: Session, where: str, names: Sequence[str] | None, labels: str, form: OutputFormat
) -> None:
    found = [cluster.release(name) for name in names] if names else _all(cluster, where, labels)
    if form in {OutputFormat.TEXT, OutputFormat.WIDE}:
        _table(found, where, wide=form is OutputFormat.WIDE)
    else:
        typer.echo(format_objects(form, found, one=len(names or ()) == 1), nl=False)


def _all(cluster: Session, where: str, labels: str) -> "list[Object]":
    from canary.kube.objects import RELEASES  # noqa: PLC0415 - keeps --help quick
    from canary.kube.selected import SelectedObjects  # noqa: PLC0415 - as above
    from canary.kube.timing import Stopper, SystemTiming  # noqa: PLC0415 - as above

    source = SelectedObjects(cluster.transport, Stopper(SystemTiming()), labels=labels)
    return sorted(source.listing(RELEASES, where, {}).items, key=_place)


def _place(item: "Object") -> tuple[str, str]:
    return str(item["metadata"].get("namespace", "")), str(item["metadata"]["name"])


def _table(found: "Sequence[Object]", where: str, *, wide: bool) -> None:
    from canary.clock import now  # noqa: PLC0415 - keeps --help quick
    from canary.render.release_table import align_columns, column_names, release_row  # noqa: PLC0415 - as above

    if not found:
        typer.echo(_nothing(where), err=True)
        return
    namespaces = not where
    moment = now()
    rows = [release_row(item, moment, wide=wide, namespaces=namespaces) for item in found]
    for line in align_columns([column_names(wide=wide, namespaces=namespaces), *rows]):
        typer.echo(line)


def _nothing(where: str) -> str:
    return f"No CanaryReleases found in {f'namespace {where}' if where else 'any namespace'}."


def _watched(
    cluster: Session, where: str, names: Sequence[str] | None, labels: str, *, wide: bool
) -> None:
    """One line per change, until Ctrl-C. One list and one watch, however many releases."""
    from canary.cli.release_watch import Follow, Troubles  # noqa: PLC0415 - keeps --help quick
    from canary.cli.watch_table import Rows  # noqa: PLC0415 - as above

    if names:
        cluster.release(names[0])
    rows = Rows(wide=wide, namespaces=not where)
    with Follow(cluster, where, name=names[0] if names else "", labels=labels) as follow:
        troubles = Troubles(lambda words: typer.echo(f"canary: {words}", err=True))
        for news in follow.news(1.0):
            troubles.heard(news.trouble)
            for line in rows.lines(news):
                typer.echo(line)
