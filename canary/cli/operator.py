"""`canary operator`: looks after CanaryReleases in a cluster until it is told to end."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class HoldFlag(StrEnum):
    """How Deployments are held."""

    AUTO = "auto"
    AT_REST = "at-rest"
    ON_CHANGE = "on-change"


class OwnQueriesFlag(StrEnum):
    """What is asked of the PromQL that users wrote."""

    ON = "on"
    ENFORCED = "enforced"
    OFF = "off"


class LogFormat(StrEnum):
    """How log lines are written."""

    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """Minimum log level."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def operator(  # noqa: PLR0913, PLR0917 - the flags of one command
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace",
            "-n",
            envvar="CANARY_NAMESPACE",
            help="Look after releases of this namespace only; may be repeated. Default: all.",
        ),
    ] = None,
    leader_elect: Annotated[
        bool,
        typer.Option(
            "--leader-elect/--no-leader-elect",
            envvar="CANARY_LEADER_ELECT",
            help="Several replicas agree by a Lease on which of them works.",
        ),
    ] = True,
    lease_namespace: Annotated[
        str | None,
        typer.Option(
            envvar="CANARY_LEASE_NAMESPACE", help="Of the Lease. Default: the pod's namespace."
        ),
    ] = None,
    lease_name: Annotated[
        str, typer.Option(envvar="CANARY_LEASE_NAME", help="Name of the Lease.")
    ] = "canary-controller",
    workers: Annotated[
        int,
        typer.Option(
            envvar="CANARY_WORKERS",
            min=1,
            max=256,
            help="Number of releases reconciled concurrently.",
        ),
    ] = 16,
    prometheus_url: Annotated[
        str, typer.Option(envvar="CANARY_PROMETHEUS_URL", help="Where Prometheus answers queries.")
    ] = "http://prometheus.monitoring:9090",
    prometheus_token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="CANARY_PROMETHEUS_TOKEN_FILE",
            help="File with a bearer token; read anew for every query.",
        ),
    ] = None,
    prometheus_ca_file: Annotated[
        Path | None,
        typer.Option(
            envvar="CANARY_PROMETHEUS_CA_FILE", help="Certificate authority of an https address."
        ),
    ] = None,
    prometheus_insecure: Annotated[
        bool,
        typer.Option(
            "--prometheus-insecure",
            envvar="CANARY_PROMETHEUS_INSECURE",
            help="Do not check the certificate.",
        ),
    ] = False,
    prometheus_timeout: Annotated[
        float,
        typer.Option(
            envvar="CANARY_PROMETHEUS_TIMEOUT",
            min=0.5,
            max=60.0,
            help="Query timeout in seconds.",
        ),
    ] = 10.0,
    own_queries: Annotated[
        OwnQueriesFlag,
        typer.Option(
            envvar="CANARY_OWN_QUERIES",
            help="Queries and selectors that users wrote: asked as they are (on), confined to the "
            "release's namespace (enforced), or no queries and confined selectors (off).",
        ),
    ] = OwnQueriesFlag.ON,
    router_metrics_url: Annotated[
        str | None,
        typer.Option(
            envvar="CANARY_ROUTER_METRICS_URL",
            help="The router's own metrics page, for releases with analysis.source: scrape.",
        ),
    ] = None,
    allow_network: Annotated[
        list[str] | None,
        typer.Option(
            envvar="CANARY_ALLOW_NETWORK",
            help="Network that checks, notifications and scrapes may go to although it is loopback "
            "or link-local, such as 127.0.0.0/8. May be repeated.",
        ),
    ] = None,
    refuse_network: Annotated[
        list[str] | None,
        typer.Option(
            envvar="CANARY_REFUSE_NETWORK",
            help="Network that they may not go to, such as 10.0.0.0/16. May be repeated.",
        ),
    ] = None,
    scrape_max_bytes: Annotated[
        int,
        typer.Option(
            envvar="CANARY_SCRAPE_MAX_BYTES", min=1024, help="Largest metrics page, in bytes."
        ),
    ] = 2 << 20,
    scrape_max_series: Annotated[
        int,
        typer.Option(
            envvar="CANARY_SCRAPE_MAX_SERIES",
            min=1,
            help="Largest number of series that are kept of a metrics page.",
        ),
    ] = 10_000,
    hold_mode: Annotated[
        HoldFlag,
        typer.Option(
            envvar="CANARY_HOLD_MODE",
            help="How Deployments are held: paused at rest, or paused by an admission policy as "
            "they change. auto: by the policy where it is installed.",
        ),
    ] = HoldFlag.AUTO,
    hold_policy: Annotated[
        str,
        typer.Option(
            envvar="CANARY_HOLD_POLICY",
            help="Name of the MutatingAdmissionPolicy and of its binding.",
        ),
    ] = "canary-hold",
    notify_file: Annotated[
        Path | None,
        typer.Option(
            envvar="CANARY_NOTIFY_FILE",
            help="Receivers of notifications about all releases, and dashboards that they link.",
        ),
    ] = None,
    notify_secrets: Annotated[
        Path,
        typer.Option(
            envvar="CANARY_NOTIFY_SECRETS",
            help="Folder with the Secrets of these receivers: NAME/KEY.",
        ),
    ] = Path("/etc/canary/notify-secrets"),
    notify_proxy: Annotated[
        str | None,
        typer.Option(
            envvar="CANARY_NOTIFY_PROXY",
            help="Proxy that notifications go through, such as http://proxy.corp:3128.",
        ),
    ] = None,
    kubeconfig: Annotated[
        str | None,
        typer.Option(
            envvar="CANARY_KUBECONFIG",
            help="Default: the pod's service account, else $KUBECONFIG or ~/.kube/config.",
        ),
    ] = None,
    context: Annotated[
        str | None, typer.Option(envvar="CANARY_CONTEXT", help="Context of the kubeconfig file.")
    ] = None,
    metrics_address: Annotated[
        str,
        typer.Option(
            envvar="CANARY_METRICS_ADDRESS",
            help="HOST:PORT of /livez, /readyz and /metrics.",
        ),
    ] = "0.0.0.0:8080",
    log_format: Annotated[
        LogFormat,
        typer.Option(envvar="CANARY_LOG_FORMAT", help="One JSON object a line, or plain."),
    ] = LogFormat.JSON,
    log_level: Annotated[
        LogLevel, typer.Option(envvar="CANARY_LOG_LEVEL", help="Minimum log level.")
    ] = LogLevel.INFO,
) -> None:
    """Look after CanaryReleases in a cluster, until SIGTERM.

    Every option can be set by its environment variable as well.

    Exit code 0: ended as told; 1: cannot reach the cluster; 2: wrong options; 7: no CRD, or
    forbidden.
    """
    from canary.http.addresses import AddressRules, parse_networks  # noqa: PLC0415 - as above
    from canary.metrics.exposition import PageLimits  # noqa: PLC0415 - as above
    from canary.metrics.options import checked_url, readable  # noqa: PLC0415 - as above
    from canary.metrics.own_queries import OwnQueries  # noqa: PLC0415 - as above
    from canary.metrics.query_api import OPERATOR_BYTES, PrometheusOptions  # noqa: PLC0415 - as above
    from canary.notify import config  # noqa: PLC0415 - as above
    from canary.operator import main, settings  # noqa: PLC0415 - as above
    from canary.operator.pause_mode import PauseModeOption  # noqa: PLC0415 - keeps --help quick

    prometheus = PrometheusOptions(
        url=checked_url("--prometheus-url", prometheus_url),
        read_timeout=prometheus_timeout,
        bearer_token_file=readable("--prometheus-token-file", prometheus_token_file),
        ca_file=readable("--prometheus-ca-file", prometheus_ca_file),
        insecure=prometheus_insecure,
        max_bytes=OPERATOR_BYTES,
    )
    router = router_metrics_url and checked_url("--router-metrics-url", router_metrics_url)
    main.run_operator(
        settings.OperatorSettings(
            namespaces=tuple(namespace or ()),
            workers=workers,
            prometheus=prometheus,
            own_queries=OwnQueries(own_queries.value),
            router_metrics=router,
            addresses=AddressRules(
                parse_networks("--refuse-network", refuse_network or ()),
                parse_networks("--allow-network", allow_network or ()),
            ),
            page=PageLimits(
                size=scrape_max_bytes,
                lines=max(scrape_max_bytes // 40, 1000),
                series=scrape_max_series,
            ),
            notify_proxy=notify_proxy and checked_url("--notify-proxy", notify_proxy),
            hold=PauseModeOption(hold_mode.value),
            policy=hold_policy,
            lease=settings.lease_name(lease_namespace, lease_name) if leader_elect else None,
            instance=settings.own_name(),
            notify=config.load_receivers(notify_file, notify_secrets),
            notify_secrets=notify_secrets,
        ),
        main.ProcessOptions(
            kubeconfig, context, metrics_address, log_format.value, log_level.value
        ),
    )
