"""`canary init`: drafts a commented CanaryRelease for a Deployment."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import Session, open_session
from canary.cli.options import (
    Context,
    Kubeconfig,
    Namespace,
    PrometheusConfig,
    PrometheusUrl,
)
from canary.errors import ExitCode, UsageError
from canary.render.terminal import echo

if TYPE_CHECKING:
    from canary.discovery.gather import DraftInput
    from canary.discovery.selection import DraftOptions
    from canary.kube.objects import Object


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
    prometheus_config: PrometheusConfig = None,
    offline: Offline = False,
    deployment: DeploymentName = None,
    service: ServiceName = None,
    route: RouteName = None,
    metric: MetricPresets = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
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

    wanted = DraftOptions(service, route, tuple(metric or ()))
    settings = InitSettings(
        tuple(names or ()), wanted, deployment, namespace, context, kubeconfig, prometheus,
        prometheus_config,
    )  # fmt: skip
    if from_ is not None or from_cluster:
        raise typer.Exit(_convert(from_, settings, cluster=from_cluster))
    if not names:
        raise UsageError("expected the name of a DEPLOYMENT, found none")
    found = _gather_from_files(settings) if offline else _gather_from_cluster(settings)
    made = render_draft(found)
    echo(made.text, nl=False)
    for note in made.notes:
        echo(f"canary: {note}", err=True)


@dataclass(frozen=True, slots=True)
class InitSettings:
    """The options as given; None: not given."""

    names: tuple[str, ...]
    """Deployments, or files with --offline or --from."""
    draft: "DraftOptions"
    deployment: str | None
    namespace: str | None
    context: str | None
    kubeconfig: str | None
    prometheus: str | None
    prometheus_config: Path | None

    def open_session(self) -> AbstractContextManager[Session]:
        """Connect to the cluster."""
        return open_session(self.namespace, context=self.context, kubeconfig=self.kubeconfig)


def _convert(first: str | None, settings: InitSettings, *, cluster: bool) -> ExitCode:
    """Print the conversions, with a summary of each on standard error."""
    from canary.init.migration import convert_objects  # noqa: PLC0415 - keeps --help quick

    if cluster and first is not None:
        raise UsageError("--from cannot be combined with --cluster")
    if cluster:
        objects = _list_objects(settings)
    else:
        from canary.discovery.manifest_reader import read_manifests  # noqa: PLC0415 - as above

        objects = read_manifests([first or "-", *settings.names])
    complete = True
    for index, one in enumerate(convert_objects(objects)):
        echo("---\n" * bool(index) + one.render(), nl=False)
        echo(f"canary: {one.summarize()}", err=True)
        for problem in one.find_problems():
            complete = False
            echo(f"canary: {one.source}: to be completed: {problem}", err=True)
    return ExitCode.OK if complete else ExitCode.USAGE


def _list_objects(settings: InitSettings) -> list["Object"]:
    """Return the named Canaries and Rollouts (without names all of them) and all templates."""
    from canary.discovery.manifest_reader import list_objects  # noqa: PLC0415 - as above
    from canary.init.migration import SOURCES, TEMPLATES  # noqa: PLC0415 - as above

    objects: list[Object] = []
    with settings.open_session() as cluster:
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
                if kind not in SOURCES
                or not settings.names
                or one["metadata"]["name"] in settings.names
            ]
    return objects


def _gather_from_files(settings: InitSettings) -> "DraftInput":
    from canary.discovery.gather import gather_from_manifests  # noqa: PLC0415 - keeps --help quick
    from canary.discovery.manifest_reader import read_manifests  # noqa: PLC0415 - as above

    # The URL of Prometheus may come from the environment and is ignored.
    for flag, given in (("--context", settings.context), ("--kubeconfig", settings.kubeconfig)):
        if given is not None:
            raise UsageError(f"{flag} cannot be combined with --offline")
    files = list(settings.names)
    if len(files) == 1 and files[0] != "-" and not Path(files[0]).exists():
        raise UsageError(f"--offline: no such file: {files[0]}")
    manifests, namespace = read_manifests(files), settings.namespace or ""
    return gather_from_manifests(manifests, namespace, settings.deployment, settings.draft)


def _gather_from_cluster(settings: InitSettings) -> "DraftInput":
    from canary.clock import now  # noqa: PLC0415 - as above
    from canary.discovery.gather import ClusterAccess, gather_from_cluster  # noqa: PLC0415 - as above
    from canary.kube.objects import DEPLOYMENTS  # noqa: PLC0415 - keeps --help quick
    from canary.metrics.options import sources_of  # noqa: PLC0415 - as above

    if settings.deployment is not None or len(settings.names) > 1:
        raise UsageError("expected one DEPLOYMENT; add --offline to read manifests instead")
    sources = sources_of(settings.prometheus, settings.prometheus_config)
    options = sources.select_for(None) if sources else None
    default = sources.select(None) if sources else None
    with settings.open_session() as cluster:
        target = cluster.get_object(DEPLOYMENTS, settings.names[0])
        online = ClusterAccess(cluster.client, cluster.transport, options, now)
        found = gather_from_cluster(online, target, settings.draft)
    return found if options == default or not options else replace(found, prometheus=options.name)
