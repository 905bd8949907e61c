"""Options that several commands share, declared once so that they read the same everywhere."""

from enum import StrEnum
from typing import Annotated

import typer

from canary.cli.completion import complete_contexts, complete_namespaces, complete_releases

Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAMESPACE",
        help="Namespace. Default: the one of the context.",
        show_default=False,
        autocompletion=complete_namespaces,
    ),
]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")]
Labels = Annotated[
    str | None,
    typer.Option(
        "--selector", "-l", metavar="LABELS", help="Label selector, such as team=auth,tier!=test."
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="CONTEXT",
        help="kubeconfig context to use. Default: the current context.",
        show_default=False,
        autocompletion=complete_contexts,
    ),
]
Kubeconfig = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        help="kubeconfig file. Default: $KUBECONFIG, ~/.kube/config, or the service account.",
        show_default=False,
    ),
]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name of a CanaryRelease.", autocompletion=complete_releases
    ),
]
Names = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME", help="Names of CanaryReleases.", autocompletion=complete_releases
    ),
]
SomeNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Names of CanaryReleases. Default: all.",
        show_default=False,
        autocompletion=complete_releases,
    ),
]


class DryRun(StrEnum):
    """How much is really done."""

    NONE = "none"
    CLIENT = "client"
    SERVER = "server"


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Dry = Annotated[
    DryRun,
    typer.Option(
        "--dry-run", help="client: only say what would be written; server: have it checked there."
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Until the operator has taken it (30 s).")]
