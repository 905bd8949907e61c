"""How a command is told where Prometheus is: declared once, so that it reads the same."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from canary.metrics.prometheus import PrometheusOptions

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


def options_of(
    url: str | None, token: Path | None = None, ca: Path | None = None
) -> "PrometheusOptions | None":
    """How to ask it; None where no address was given.

    Raises:
        UsageError: not a URL, or a file that cannot be read.
    """
    if url is None:
        return None
    from canary.metrics.prometheus import PrometheusOptions  # noqa: PLC0415 - keeps --help quick
    from canary.operator.settings import checked_url, readable  # noqa: PLC0415 - as above

    return PrometheusOptions(
        url=checked_url("--prometheus", url),
        attempts=2,
        bearer_token_file=readable("--prometheus-token-file", token),
        ca_file=readable("--prometheus-ca-file", ca),
    )
