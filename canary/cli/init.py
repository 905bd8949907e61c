"""`canary init`: a commented CanaryRelease for a Deployment, drafted from what is there."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli.cluster import session
from canary.cli.options import Context, Kubeconfig, Namespace
from canary.cli.prometheus import CaFile, PrometheusUrl, TokenFile
from canary.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from canary.discovery.gather import DraftInput
    from canary.discovery.selection import DraftOptions
    from canary.kube.objects import Object
    from canary.metrics.prometheus import PrometheusOptions


def init(  # noqa: PLR0913, PLR0917 - the flags of one command
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DEPLOYMENT|FILE",
            help="The Deployment; with --offline or --from files: manifests, folders, - is "
            "standard input.",
        ),
    ] = None,
    namespace: Namespace = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Convert Flagger's Canaries or Argo Rollouts' Rollouts of these files.",
            show_default=False,
        ),
    ] = None,
    from_cluster: Annotated[
        bool,
        typer.Option(
            "--cluster",
            help="Convert the Canaries and Rollouts of the namespace.",
            show_default=False,
        ),
    ] = False,
    prometheus: PrometheusUrl = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Read manifests, no cluster.", show_default=False)
    ] = False,
    deployment: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which one, where files hold several."),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which one, where several Services select the pods."),
    ] = None,
    route: Annotated[
        str | None,
        typer.Option(
            metavar="KIND/NAME|none",
            help="The only one to weight; default: all that send to the Service; none: share by "
            "number of pods.",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="PRESET", help="What to judge, where it cannot be seen. Repeatable."),
    ] = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
) -> None:
    """Draft a CanaryRelease for a Deployment, commented.

    Looks at the Deployment, its Services, routes and autoscaler, and at the metrics that
    Prometheus has for its pods; without --prometheus at the pods' own metrics pages. What it
    could not find stands in comments and on standard error; what is ambiguous it asks.

    With --from or --cluster it converts the releases of Flagger and of Argo Rollouts instead, and
    says for each of their fields whether it has an equal (docs/migrate-flagger.md,
    docs/migrate-argo-rollouts.md).

    Exit code 0: drafted; 2: something has to be chosen, or an option is wrong; 1: the cluster or
    Prometheus does not answer; 7: not found, or forbidden.
    """
    from canary.discovery.selection import DraftOptions  # noqa: PLC0415 - keeps --help quick
    from canary.init.draft import render_draft  # noqa: PLC0415 - as above

    if from_ is not None or from_cluster:
        place = (namespace, context, kubeconfig)
        raise typer.Exit(_convert(from_, names or [], place, cluster=from_cluster))
    if not names:
        raise UsageError("the name of a DEPLOYMENT is expected, found none")
    wanted = DraftOptions(service, route, tuple(metric or ()))
    if offline:
        _refuse_online(context, kubeconfig)
        found = _from_files(names, namespace, deployment, wanted)
    else:
        if deployment is not None or len(names) > 1:
            raise UsageError("one DEPLOYMENT is expected; to read manifests instead, add --offline")
        from canary.metrics.options import options_of  # noqa: PLC0415 - keeps --help quick

        options = options_of(prometheus, token_file, ca_file)
        found = _from_cluster(names[0], (namespace, context, kubeconfig), options, wanted)
    made = render_draft(found)
    typer.echo(made.text, nl=False)
    for note in made.notes:
        typer.echo(f"canary: {note}", err=True)


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
        raise UsageError("--from reads files and --cluster a cluster: give one")
    objects = (
        _objects_of_cluster(more, place) if cluster else _objects_of_files([first or "-", *more])
    )
    complete = True
    for index, one in enumerate(convert_objects(objects)):
        typer.echo("---\n" * bool(index) + one.render(), nl=False)
        typer.echo(f"canary: {one.summarize()}", err=True)
        for problem in one.problems():
            complete = False
            typer.echo(f"canary: {one.source}: to be completed: {problem}", err=True)
    return ExitCode.OK if complete else ExitCode.USAGE


def _objects_of_files(files: list[str]) -> list["Object"]:
    from canary.discovery.manifest_files import read_manifests  # noqa: PLC0415 - as above

    return read_manifests(files)


def _objects_of_cluster(
    names: list[str], place: tuple[str | None, str | None, str | None]
) -> list["Object"]:
    """The Canaries and Rollouts of these names, without names all, and every template."""
    from canary.discovery.manifest_reader import list_objects  # noqa: PLC0415 - as above
    from canary.init.migration import SOURCES, TEMPLATES  # noqa: PLC0415 - as above

    namespace, context, kubeconfig = place
    objects: list[Object] = []
    with session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        for kind in (*SOURCES, *TEMPLATES):
            clusterwide = kind.kind.startswith("Cluster")
            found, problem = list_objects(
                cluster.client, kind, "" if clusterwide else cluster.namespace
            )
            if problem:
                typer.echo(f"canary: {problem}", err=True)
            objects += [
                {"apiVersion": kind.api_version, "kind": kind.kind} | one
                for one in found
                if kind not in SOURCES or not names or one["metadata"]["name"] in names
            ]
    return objects


def _refuse_online(context: str | None, kubeconfig: str | None) -> None:
    """Prometheus' address may come from the environment: that one is just not asked."""
    for flag, given in (("--context", context), ("--kubeconfig", kubeconfig)):
        if given is not None:
            raise UsageError(f"--offline asks no cluster: leave {flag} out")


def _from_files(
    files: list[str], namespace: str | None, deployment: str | None, wanted: "DraftOptions"
) -> "DraftInput":
    from canary.discovery.gather import gather_from_manifests  # noqa: PLC0415 - keeps --help quick
    from canary.discovery.manifest_files import read_manifests  # noqa: PLC0415 - as above

    if len(files) == 1 and not _is_file(files[0]):
        raise UsageError(f"--offline expects FILEs; there is no file {files[0]}")
    return gather_from_manifests(read_manifests(files), namespace or "", deployment, wanted)


def _is_file(name: str) -> bool:
    return name == "-" or Path(name).exists()


def _from_cluster(
    name: str,
    place: tuple[str | None, str | None, str | None],
    options: "PrometheusOptions | None",
    wanted: "DraftOptions",
) -> "DraftInput":
    from canary.clock import now  # noqa: PLC0415 - as above
    from canary.discovery.gather import ClusterAccess, gather_from_cluster  # noqa: PLC0415 - as above
    from canary.kube.objects import DEPLOYMENTS  # noqa: PLC0415 - keeps --help quick

    namespace, context, kubeconfig = place
    with session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
        target = cluster.named(DEPLOYMENTS, name)
        online = ClusterAccess(cluster.client, cluster.transport, options, now)
        return gather_from_cluster(online, target, wanted)
