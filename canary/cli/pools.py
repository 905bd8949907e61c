"""`canary pools`: connection pools, the nearest to its end first."""

from typing import Annotated

import typer

from canary.cli.analyze import PasswordFile, User
from canary.cli.options import AllNamespaces
from canary.cli.output import DOCUMENTS, DocumentOutput
from canary.cli.prometheus import CaFile, PrometheusUrl, TokenFile
from canary.cli.times import length
from canary.errors import UsageError
from canary.render.documents import OutputFormat, parse_format

Namespace = Annotated[
    str | None,
    typer.Option(
        "-n",
        "--namespace",
        metavar="NAMESPACE",
        help="Only pools whose `namespace` label has this value. Default: all.",
    ),
]
Watching = Annotated[bool, typer.Option("--watch", "-w", help="Go on looking, until Ctrl-C.")]
Every = Annotated[
    float,
    typer.Option(
        "--interval",
        parser=length,
        metavar="TIME",
        help="Between two looks with -w.",
        show_default="5s",
    ),
]


def pools(  # noqa: PLR0913, PLR0917 - one parameter per documented option
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    watch: Watching = False,
    interval: Every = 5.0,
    output: DocumentOutput = None,
    prometheus: PrometheusUrl = None,
    prometheus_token_file: TokenFile = None,
    prometheus_ca_file: CaFile = None,
    prometheus_user: User = None,
    prometheus_password_file: PasswordFile = None,
) -> None:
    """Show database connection pools, the nearest to its end first.

    Needs no cluster, only a Prometheus: pools of every preset are found. HELD are connections in
    use beyond rate × hold time, over ten minutes: nobody gives them back. IN-USE is NaN where the
    exporter says so: nothing is known of that pool then.

    Exit code 0: shown, however full they are; 1: Prometheus could not be asked; 2: wrong options;
    6: it has no pool's metrics.
    """
    from canary.analyze.run import Access  # noqa: PLC0415 - keeps --help quick
    from canary.pools.screen import shown, watched  # noqa: PLC0415 - as above

    form = parse_format(output, DOCUMENTS)
    if namespace and all_namespaces:
        raise UsageError("-n and -A contradict each other: give one, or none for all namespaces")
    if watch and form is not OutputFormat.TEXT:
        raise UsageError("-w prints for people: leave out -o")
    if interval < 1:
        raise UsageError(f"--interval: at least 1s is expected, found {interval:g}s")
    options = Access(
        prometheus,
        prometheus_token_file,
        prometheus_ca_file,
        prometheus_user,
        prometheus_password_file,
    ).options()
    if watch:
        watched(options, namespace or "", interval)
    raise typer.Exit(shown(options, namespace or "", form))
