"""`canary manifests`: what is installed in a cluster, as YAML."""

from enum import StrEnum
from typing import Annotated

import typer


class Part(StrEnum):
    """What can be printed."""

    CRD = "crd"


def manifests(
    part: Annotated[Part, typer.Argument(metavar="PART", help="crd: the definition.")],
) -> None:
    """Print what a cluster needs, as YAML for kubectl apply.

    Exit code 0: printed.
    """
    from canary.manifests import crd_yaml  # noqa: PLC0415 - keeps --help quick

    match part:
        case Part.CRD:
            typer.echo(crd_yaml(), nl=False)
