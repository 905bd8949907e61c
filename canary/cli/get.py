"""`canary get`: lists releases as a table or as objects."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import Session, open_session
from canary.cli.options import (
    TABLE_FORMATS,
    AllNamespaces,
    Context,
    Kubeconfig,
    LabelSelector,
    Namespace,
    OptionalNames,
    TableOutput,
)
from canary.errors import UsageError
from canary.render.documents import OutputFormat, format_objects, parse_format
from canary.render.terminal import echo

if TYPE_CHECKING:
    from canary.kube.objects import Object

Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="Watch for changes and print a row per change.")
]


def get(  # noqa: PLR0913, PLR0917 - kubectl's flags
    names: OptionalNames = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    labels: LabelSelector = None,
    watch: Watch = False,
    output: TableOutput = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List releases: phase, step, weight, verdict, reason.

    `canary list` is an alias.

    Exit code 0: listed, also if there are none; 1: no cluster; 2: invalid options; 7: no such
    release, or forbidden.
    """
    form = parse_format(output, TABLE_FORMATS)
    _check_options(names, labels, form, everywhere=all_namespaces, watch=watch)
    with open_session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        where = "" if all_namespaces else cluster.namespace
        if watch:
            _watch_releases(cluster, where, names, labels or "", wide=form is OutputFormat.WIDE)
        _print_releases(cluster, where, names, labels or "", form)


def _check_options(
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
        raise UsageError("-w can only be combined with -o wide")
    if watch and names and len(names) > 1:
        raise UsageError("-w watches one name or all: give at most one name")


def _print_releases(
    cluster: Session, where: str, names: Sequence[str] | None, labels: str, form: OutputFormat
) -> None:
    found = (
        [cluster.release(name) for name in names]
        if names
        else _list_releases(cluster, where, labels)
    )
    if form in {OutputFormat.TEXT, OutputFormat.WIDE}:
        _print_table(found, where, wide=form is OutputFormat.WIDE)
    else:
        echo(format_objects(form, found, one=len(names or ()) == 1), nl=False)


def _list_releases(cluster: Session, where: str, labels: str) -> "list[Object]":
    from canary.kube.objects import RELEASES  # noqa: PLC0415 - keeps --help quick
    from canary.kube.selected import SelectedObjects  # noqa: PLC0415 - as above
    from canary.kube.timing import Stopper, SystemTiming  # noqa: PLC0415 - as above

    source = SelectedObjects(cluster.transport, Stopper(SystemTiming()), labels=labels)
    return sorted(source.listing(RELEASES, where, {}).items, key=_namespace_and_name)


def _namespace_and_name(item: "Object") -> tuple[str, str]:
    return str(item["metadata"].get("namespace", "")), str(item["metadata"]["name"])


def _print_table(found: "Sequence[Object]", where: str, *, wide: bool) -> None:
    from canary.clock import now  # noqa: PLC0415 - keeps --help quick
    from canary.render.release_table import align_columns, column_names, release_row  # noqa: PLC0415 - as above

    if not found:
        echo(_format_empty(where), err=True)
        return
    namespaces = not where
    moment = now()
    rows = [release_row(item, moment, wide=wide, namespaces=namespaces) for item in found]
    for line in align_columns([column_names(wide=wide, namespaces=namespaces), *rows]):
        echo(line)


def _format_empty(where: str) -> str:
    return f"No CanaryReleases found in {f'namespace {where}' if where else 'any namespace'}."


def _watch_releases(
    cluster: Session, where: str, names: Sequence[str] | None, labels: str, *, wide: bool
) -> None:
    """Print a row per change until Ctrl-C, with one list and one watch for all releases."""
    from canary.cli.release_watch import ConnectionReporter, WatchTable  # noqa: PLC0415 - keeps --help quick
    from canary.kube.release_watch import ReleaseWatch  # noqa: PLC0415 - keeps --help quick

    if names:
        cluster.release(names[0])
    rows = WatchTable(wide=wide, namespaces=not where)
    with ReleaseWatch(
        cluster.transport, where, name=names[0] if names else "", labels=labels
    ) as stream:
        connection = ConnectionReporter(lambda line: echo(f"canary: {line}", err=True))
        for update in stream.updates(1.0):
            connection.report(update.trouble)
            for line in rows.render_update(update):
                echo(line)
