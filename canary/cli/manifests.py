"""`canary manifests`: prints manifests to install in a cluster."""

from enum import StrEnum
from typing import Annotated

import typer

from canary.render.terminal import echo


class ManifestName(StrEnum):
    """Manifests that can be printed."""

    CRD = "crd"


def manifests(
    part: Annotated[
        ManifestName, typer.Argument(metavar="PART", help="crd: the CustomResourceDefinition.")
    ],
) -> None:
    """Print manifests as YAML for kubectl apply.

    Exit code 0: printed.
    """
    from canary.manifests import crd_yaml  # noqa: PLC0415 - keeps --help quick

    match part:
        case ManifestName.CRD:
            echo(crd_yaml(), nl=False)
