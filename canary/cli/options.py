"""Options that several commands share, declared once so that they read the same everywhere.

A command lists them as parameters: `def get(names: OptionalNames = None, namespace: Namespace =
None, …)`. Options of one command only are declared above its function.
"""

import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.models import OptionInfo

from canary.cli.completion import complete_contexts, complete_namespaces, complete_releases
from canary.render.documents import OutputFormat

if TYPE_CHECKING:
    from canary.results.publishing import Artifacts


# --- Parsers. typer passes defaults through them as well, so a number is returned as it is. ---


def parse_seconds(text: str | float) -> float:
    """Return the seconds of a duration such as `30s`, `1h30m` or `90`."""
    if isinstance(text, float):
        return text
    try:
        from canary.api.fields import parse_duration  # noqa: PLC0415 - keeps --help quick

        return parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, found {text!r}") from error


def parse_number(text: str | float) -> float:
    """Return the number."""
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"expected a number such as 200 or 0.01, found {text!r}"
        ) from error


def parse_ratio(text: str | float) -> float:
    """Return the ratio of `0.01` or `1%`, between 0 and 1."""
    if isinstance(text, float):
        return text
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise typer.BadParameter(
            f"expected a ratio between 0 and 1 such as 0.01 or 1%, found {text!r}"
        )
    return value


# --- Options whose values are parsed. Their defaults are shown as people write them. ---


def _parsed_option(
    parser: Callable[[str], float],
    help_text: str,
    *names: str,
    metavar: str,
    default: str | None = None,
) -> OptionInfo:
    """Return an option with a parser; `default` is None if the help states it, or there is none."""
    shown = help_text if default is None else f"{help_text}  [default: {default}]"
    option: OptionInfo = typer.Option(
        *names, parser=parser, metavar=metavar, help=shown, show_default=False
    )
    return option


duration_option = partial(_parsed_option, parse_seconds, metavar="TIME")
ratio_option = partial(_parsed_option, parse_ratio, metavar="RATIO")
number_option = partial(_parsed_option, parse_number)

# --- The cluster and the releases in it ---

Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAMESPACE",
        help="Namespace. Default: the namespace of the context.",
        show_default=False,
        autocompletion=complete_namespaces,
    ),
]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")]
LabelSelector = Annotated[
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
OptionalNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Names of CanaryReleases. Default: all.",
        show_default=False,
        autocompletion=complete_releases,
    ),
]
ReleaseFile = Annotated[
    str,
    typer.Argument(metavar="FILE", help="File with a CanaryRelease; - reads standard input."),
]


class DryRun(StrEnum):
    """Whether a command is sent to the API server, and whether it is persisted there."""

    NONE = "none"
    CLIENT = "client"
    SERVER = "server"


AssumeYes = Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation prompt.")]
DryRunOption = Annotated[
    DryRun,
    typer.Option(
        "--dry-run",
        help="client: print the object without sending it; server: send it without persisting it.",
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait until the operator has handled the command (30 s).")
]

# --- Prometheus ---

PrometheusUrl = Annotated[
    str | None,
    typer.Option(
        "--prometheus",
        envvar="CANARY_PROMETHEUS_URL",
        metavar="URL",
        help="URL of Prometheus; or the name of a source in the file of --prometheus-config.",
        show_default=False,
    ),
]
PrometheusConfig = Annotated[
    Path | None,
    typer.Option(
        "--prometheus-config",
        envvar="CANARY_PROMETHEUS_CONFIG",
        metavar="FILE",
        help="YAML file with Prometheus' address and credentials: basic_auth, authorization, "
        "http_headers, tls_config, proxy_url, oauth2 (docs/prometheus.md).",
        show_default=False,
    ),
]

# --- Load generators ---

LOAD_EXTRA = ("load", "a load needs libcurl", "pycurl", "hdrh")
"""What the commands that generate load require."""

Requests = Annotated[
    Path | None,
    typer.Option(
        "--requests",
        metavar="FILE",
        help="YAML file with weighted requests: headers, bodies and data. Default: GET the URL.",
    ),
]
RequestTimeout = Annotated[float | None, duration_option("Request timeout.", default="10s")]
MaxInFlight = Annotated[
    int,
    typer.Option(help="Maximum number of requests in flight; a request due beyond it is dropped."),
]
WorkerProcesses = Annotated[int, typer.Option("--workers", help="Number of sending processes.")]
Http2 = Annotated[
    bool, typer.Option("--http2", help="Use HTTP/2; over http without an upgrade (h2c).")
]
TargetCaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file", metavar="FILE", help="File with the certificate authority of the target."
    ),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Skip verification of the target's certificate.")
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST",
        help="Allow a target that is neither this machine nor a name inside a cluster. Can be "
        "repeated.",
    ),
]
RandomSeed = Annotated[int, typer.Option("--seed", help="Seed of the random numbers.")]

# --- Output ---

TABLE_FORMATS = (OutputFormat.WIDE, OutputFormat.NAME, OutputFormat.JSON, OutputFormat.YAML)
DOCUMENT_FORMATS = (OutputFormat.JSON, OutputFormat.YAML)
OBJECT_FORMATS = (OutputFormat.NAME, OutputFormat.JSON, OutputFormat.YAML)

TableOutput = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="FORMAT", help="Output format: wide, name, json or yaml."
    ),
]
DocumentOutput = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FORMAT", help="Output format: json or yaml."),
]
ObjectOutput = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FORMAT", help="Output format: name, json or yaml."),
]


class ResultFormat(StrEnum):
    """The formats of a result."""

    TEXT = "text"
    JSON = "json"


class FindingsFormat(StrEnum):
    """The formats of findings in files."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


ResultOutput = Annotated[
    ResultFormat, typer.Option("-o", "--output", help="Output format: text or json.")
]
FindingsOutput = Annotated[
    FindingsFormat, typer.Option("-o", "--output", help="Output format: text, json or sarif.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Treat warnings as errors.", show_default=False)
]

# --- Files for pipelines ---

JunitFile = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write JUnit XML with one test case per metric."),
]
SummaryFile = Annotated[
    Path | None,
    typer.Option(
        "--summary",
        metavar="FILE",
        help="Write a Markdown summary. It is also appended to $GITHUB_STEP_SUMMARY, if set.",
    ),
]
GitLabFile = Annotated[
    Path | None,
    typer.Option("--gitlab", metavar="FILE", help="Write a GitLab Code Quality report."),
]


def build_artifacts(
    junit: Path | None,
    summary: Path | None,
    gitlab: Path | None,
    output: ResultFormat,
    environment: Mapping[str, str] = os.environ,
) -> "Artifacts":
    """Return what to write at the end, checked now. Raises UsageError that names the option."""
    from canary.results.publishing import Artifacts  # noqa: PLC0415 - keeps --help quick

    step_summary = environment.get("GITHUB_STEP_SUMMARY")
    artifacts = Artifacts(
        as_json=output is ResultFormat.JSON,
        junit=junit,
        summary=summary,
        gitlab=gitlab,
        step_summary=Path(step_summary) if step_summary else None,
        annotate=environment.get("GITHUB_ACTIONS") == "true",
    )
    artifacts.check()
    return artifacts
