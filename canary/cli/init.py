"""`canary init`: drafts a commented CanaryRelease for a Deployment."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import open_session
from canary.cli.options import (
    Context,
    Kubeconfig,
    Namespace,
    PrometheusCaFile,
    PrometheusTokenFile,
    PrometheusUrl,
)
from canary.errors import ExitCode, UsageError
from canary.render.terminal import echo

if TYPE_CHECKING:
    from canary.discovery.gather import DraftInput
    from canary.discovery.selection import DraftOptions
    from canary.kube.objects import Object
    from canary.metrics.prometheus import PrometheusOptions


DeploymentOrFiles = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DEPLOYMENT|FILE",
        help="Name of the Deployment; with --offline or --from its manifests: files or "
        "directories, - reads standard input.",
    ),
]
Offline = Annotated[
    bool,
    typer.Option("--offline", help="Read manifests instead of a cluster.", show_default=False),
]
DeploymentName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Deployment to use, if the files contain several."),
]
ServiceName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Service to use, if several select the pods."),
]
RouteName = Annotated[
    str | None,
    typer.Option(
        metavar="KIND/NAME|none",
        help="Route whose weights to set. Default: all routes to the Service; none: split by the "
        "number of pods.",
    ),
]
MetricPresets = Annotated[
    list[str] | None,
    typer.Option(metavar="PRESET", help="Preset to analyze, if none is detected. Can be repeated."),
]


ConvertFiles = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Convert the Canaries of Flagger or the Rollouts of Argo Rollouts in these files.",
        show_default=False,
    ),
]
ConvertCluster = Annotated[
    bool,
    typer.Option(
        "--cluster",
        help="Convert the Canaries and Rollouts in the namespace.",
        show_default=False,
    ),
]


def init(  # noqa: PLR0913, PLR0917 - the flags of one command
    names: DeploymentOrFiles = None,
    namespace: Namespace = None,
    from_: ConvertFiles = None,
    from_cluster: ConvertCluster = False,
    prometheus: PrometheusUrl = None,
    offline: Offline = False,
    deployment: DeploymentName = None,
    service: ServiceName = None,
    route: RouteName = None,
    metric: MetricPresets = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    token_file: PrometheusTokenFile = None,
    ca_file: PrometheusCaFile = None,
) -> None:
    """Draft a commented CanaryRelease for a Deployment.

    Reads the Deployment, its Services, routes and autoscaler, and the metrics of its pods in
    Prometheus; without --prometheus the metrics pages of the pods. Anything missing is noted in
    comments and on standard error; anything ambiguous is an error that lists the choices.

    With --from or --cluster it converts the releases of Flagger and Argo Rollouts instead, and
    reports for each field whether canary has an equivalent (docs/migrate-flagger.md,
    docs/migrate-argo-rollouts.md).

    Exit code 0: drafted; 2: a choice is needed, or an option is invalid; 1: the cluster or
    Prometheus cannot be reached; 7: not found, or forbidden.
    """
    from canary.discovery.selection import DraftOptions  # noqa: PLC0415 - keeps --help quick
    from canary.init.draft import render_draft  # noqa: PLC0415 - as above

    if from_ is not None or from_cluster:
        place = (namespace, context, kubeconfig)
        raise typer.Exit(_convert(from_, names or [], place, cluster=from_cluster))
    if not names:
        raise UsageError("expected the name of a DEPLOYMENT, found none")
    wanted = DraftOptions(service, route, tuple(metric or ()))
    if offline:
        _check_offline_options(context, kubeconfig)
        found = _gather_from_files(names, namespace, deployment, wanted)
    else:
        if deployment is not None or len(names) > 1:
            raise UsageError("expected one DEPLOYMENT; add --offline to read manifests instead")
        from canary.metrics.options import options_of  # noqa: PLC0415 - keeps --help quick

        options = options_of(prometheus, token_file, ca_file)
        found = _gather_from_cluster(names[0], (namespace, context, kubeconfig), options, wanted)
    made = render_draft(found)
    echo(made.text, nl=False)
    for note in made.notes:
        echo(f"canary: {note}", err=True)


def _convert(
    first: str | None,
    more: list[str],
    place: tuple[str | None, str | None, str | None],
    *,
    cluster: bool,
) -> ExitCode:
    """Print the conversions, with a summary of each on standard error."""
    from canary.init.migration import convert_objects  # noqa: PLC0415 - keeps --help quick

    if cluster and first is not None:
        raise UsageError("--from cannot be combined with --cluster")
    objects = _list_objects(more, place) if cluster else _read_objects([first or "-", *more])
    complete = True
    for index, one in enumerate(convert_objects(objects)):
        echo("---\n" * bool(index) + one.render(), nl=False)
        echo(f"canary: {one.summarize()}", err=True)
        for problem in one.problems():
            complete = False
            echo(f"canary: {one.source}: to be completed: {problem}", err=True)
    return ExitCode.OK if complete else ExitCode.USAGE


def _read_objects(files: list[str]) -> list["Object"]:
    from canary.discovery.manifest_files import read_manifests  # noqa: PLC0415 - as above

    return read_manifests(files)


def _list_objects(
    names: list[str], place: tuple[str | None, str | None, str | None]
) -> list["Object"]:
    """Return the named Canaries and Rollouts (without names all of them) and all templates."""
    from canary.discovery.manifest_reader import list_objects  # noqa: PLC0415 - as above
    from canary.init.migration import SOURCES, TEMPLATES  # noqa: PLC0415 - as above

    namespace, context, kubeconfig = place
    objects: list[Object] = []
    with open_session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        for kind in (*SOURCES, *TEMPLATES):
            clusterwide = kind.kind.startswith("Cluster")
            found, problem = list_objects(
                cluster.client, kind, "" if clusterwide else cluster.namespace
            )
            if problem:
                echo(f"canary: {problem}", err=True)
            objects += [
                {"apiVersion": kind.api_version, "kind": kind.kind} | one
                for one in found
                if kind not in SOURCES or not names or one["metadata"]["name"] in names
            ]
    return objects


def _check_offline_options(context: str | None, kubeconfig: str | None) -> None:
    """Refuse cluster options. The Prometheus URL may come from the environment and is ignored."""
    for flag, given in (("--context", context), ("--kubeconfig", kubeconfig)):
        if given is not None:
            raise UsageError(f"{flag} cannot be combined with --offline")


def _gather_from_files(
    files: list[str], namespace: str | None, deployment: str | None, wanted: "DraftOptions"
) -> "DraftInput":
    from canary.discovery.gather import gather_from_manifests  # noqa: PLC0415 - keeps --help quick
    from canary.discovery.manifest_files import read_manifests  # noqa: PLC0415 - as above

    if len(files) == 1 and not _is_file(files[0]):
        raise UsageError(f"--offline: no such file: {files[0]}")
    return gather_from_manifests(read_manifests(files), namespace or "", deployment, wanted)


def _is_file(name: str) -> bool:
    return name == "-" or Path(name).exists()


def _gather_from_cluster(
    name: str,
    place: tuple[str | None, str | None, str | None],
    options: "PrometheusOptions | None",
    wanted: "DraftOptions",
) -> "DraftInput":
    from canary.clock import now  # noqa: PLC0415 - as above
    from canary.discovery.gather import ClusterAccess, gather_from_cluster  # noqa: PLC0415 - as above
    from canary.kube.objects import DEPLOYMENTS  # noqa: PLC0415 - keeps --help quick

    namespace, context, kubeconfig = place
    with open_session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        target = cluster.named(DEPLOYMENTS, name)
        online = ClusterAccess(cluster.client, cluster.transport, options, now)
        return gather_from_cluster(online, target, wanted)
