"""How a command is told where Prometheus is: declared once, so that it reads the same."""

from pathlib import Path
from typing import Annotated

import typer

PrometheusUrl = Annotated[
    str | None,
    typer.Option(
        "--prometheus",
        envvar="CANARY_PROMETHEUS_URL",
        metavar="URL",
        help="Where Prometheus answers queries.",
        show_default=False,
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--prometheus-token-file",
        envvar="CANARY_PROMETHEUS_TOKEN_FILE",
        metavar="FILE",
        help="File with a bearer token for it.",
        show_default=False,
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--prometheus-ca-file",
        envvar="CANARY_PROMETHEUS_CA_FILE",
        metavar="FILE",
        help="Certificate authority of an https address.",
        show_default=False,
    ),
]
