"""`canary operator`: reconciles CanaryReleases in a cluster until SIGTERM."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from canary.cli.options import PrometheusConfig


class HoldFlag(StrEnum):
    """How Deployments are paused."""

    AUTO = "auto"
    AT_REST = "at-rest"
    ON_CHANGE = "on-change"


class OwnQueriesFlag(StrEnum):
    """How PromQL from specs is executed."""

    ON = "on"
    ENFORCED = "enforced"
    OFF = "off"


class LogFormatFlag(StrEnum):
    """The formats of log lines."""

    JSON = "json"
    CONSOLE = "console"


class LogLevelFlag(StrEnum):
    """Minimum log level."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


WatchedNamespaces = Annotated[
    list[str] | None,
    typer.Option(
        "--namespace",
        "-n",
        envvar="CANARY_NAMESPACE",
        help="Reconcile only releases in this namespace. Can be repeated. Default: all.",
    ),
]
LeaderElect = Annotated[
    bool,
    typer.Option(
        "--leader-elect/--no-leader-elect",
        envvar="CANARY_LEADER_ELECT",
        help="Elect one active replica with a Lease.",
    ),
]
LeaseNamespace = Annotated[
    str | None,
    typer.Option(
        envvar="CANARY_LEASE_NAMESPACE",
        help="Namespace of the Lease. Default: the namespace of the pod.",
    ),
]
LeaseName = Annotated[str, typer.Option(envvar="CANARY_LEASE_NAME", help="Name of the Lease.")]
Workers = Annotated[
    int,
    typer.Option(
        envvar="CANARY_WORKERS",
        min=1,
        max=256,
        help="Number of releases reconciled concurrently.",
    ),
]
OperatorPrometheusUrl = Annotated[
    str | None,
    typer.Option(
        envvar="CANARY_PROMETHEUS_URL",
        help="URL of Prometheus. Default: http://prometheus.monitoring:9090",
        show_default=False,
    ),
]
PrometheusTimeout = Annotated[
    float,
    typer.Option(
        envvar="CANARY_PROMETHEUS_TIMEOUT",
        min=0.5,
        max=60.0,
        help="Query timeout in seconds.",
    ),
]
OwnQueriesOption = Annotated[
    OwnQueriesFlag,
    typer.Option(
        "--own-queries",
        envvar="CANARY_OWN_QUERIES",
        help=(
            "PromQL in specs: on runs it unchanged, enforced restricts it to the namespace of the "
            "release, off rejects queries and restricts selectors."
        ),
    ),
]
RouterMetricsUrl = Annotated[
    str | None,
    typer.Option(
        envvar="CANARY_ROUTER_METRICS_URL",
        help="Metrics page of the router, for releases with analysis.source: scrape.",
    ),
]
HoldModeOption = Annotated[
    HoldFlag,
    typer.Option(
        "--hold-mode",
        envvar="CANARY_HOLD_MODE",
        help="How Deployments are paused: at-rest keeps them paused, on-change pauses them by an "
        "admission policy, auto uses the policy if it is installed.",
    ),
]
HoldPolicy = Annotated[
    str,
    typer.Option(
        envvar="CANARY_HOLD_POLICY",
        help="Name of the MutatingAdmissionPolicy and of its binding.",
    ),
]
NotifyFile = Annotated[
    Path | None,
    typer.Option(
        envvar="CANARY_NOTIFY_FILE",
        help="File with the receivers of notifications about all releases and their dashboards.",
    ),
]
NotifySecrets = Annotated[
    Path,
    typer.Option(
        envvar="CANARY_NOTIFY_SECRETS",
        help="Directory with the Secrets of these receivers, in files NAME/KEY.",
    ),
]
AllowNetworks = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-network",
        envvar="CANARY_ALLOW_NETWORK",
        help="Loopback or link-local network that checks, notifications and scrapes may connect "
        "to, such as 127.0.0.0/8. Can be repeated.",
    ),
]
RefuseNetworks = Annotated[
    list[str] | None,
    typer.Option(
        "--refuse-network",
        envvar="CANARY_REFUSE_NETWORK",
        help=(
            "Network that checks, notifications and scrapes must not connect to, such as "
            "10.0.0.0/16. Can be repeated."
        ),
    ),
]
ScrapeMaxBytes = Annotated[
    int,
    typer.Option(
        envvar="CANARY_SCRAPE_MAX_BYTES", min=1024, help="Maximum size of a metrics page in bytes."
    ),
]
ScrapeMaxSeries = Annotated[
    int,
    typer.Option(
        envvar="CANARY_SCRAPE_MAX_SERIES",
        min=1,
        help="Maximum number of series to keep from the metrics pages of a release.",
    ),
]
NotifyProxy = Annotated[
    str | None,
    typer.Option(
        envvar="CANARY_NOTIFY_PROXY",
        help="Proxy for notifications, such as http://proxy.corp:3128.",
    ),
]
OperatorKubeconfig = Annotated[
    str | None,
    typer.Option(
        envvar="CANARY_KUBECONFIG",
        help="kubeconfig file. Default: the service account of the pod, else $KUBECONFIG or "
        "~/.kube/config.",
    ),
]
OperatorContext = Annotated[
    str | None,
    typer.Option(
        envvar="CANARY_CONTEXT",
        help="kubeconfig context to use. Default: the current context.",
    ),
]
MetricsAddress = Annotated[
    str,
    typer.Option(
        envvar="CANARY_METRICS_ADDRESS",
        help="HOST:PORT to serve /livez, /readyz and /metrics on.",
    ),
]
MetricsTokenFile = Annotated[
    Path | None,
    typer.Option(
        envvar="CANARY_METRICS_TOKEN_FILE",
        help="File with the bearer token that requests for /metrics need.",
    ),
]
MetricsTlsCert = Annotated[
    Path | None,
    typer.Option(
        envvar="CANARY_METRICS_TLS_CERT",
        help="Certificate (PEM) for /metrics, which is then served on --metrics-tls-address only.",
    ),
]
MetricsTlsKey = Annotated[
    Path | None,
    typer.Option(envvar="CANARY_METRICS_TLS_KEY", help="Private key (PEM) of --metrics-tls-cert."),
]
MetricsTlsAddress = Annotated[
    str,
    typer.Option(
        envvar="CANARY_METRICS_TLS_ADDRESS",
        help="HOST:PORT to serve /metrics on with --metrics-tls-cert.",
    ),
]
LogFormatOption = Annotated[
    LogFormatFlag,
    typer.Option(
        "--log-format",
        envvar="CANARY_LOG_FORMAT",
        help="Log format: json prints one object per line.",
    ),
]
LogLevelOption = Annotated[
    LogLevelFlag, typer.Option("--log-level", envvar="CANARY_LOG_LEVEL", help="Minimum log level.")
]


def operator(  # noqa: PLR0913, PLR0917 - one parameter per documented option
    namespace: WatchedNamespaces = None,
    leader_elect: LeaderElect = True,
    lease_namespace: LeaseNamespace = None,
    lease_name: LeaseName = "canary-controller",
    workers: Workers = 16,
    prometheus_url: OperatorPrometheusUrl = None,
    prometheus_config: PrometheusConfig = None,
    prometheus_timeout: PrometheusTimeout = 10.0,
    own_queries: OwnQueriesOption = OwnQueriesFlag.ON,
    router_metrics_url: RouterMetricsUrl = None,
    hold_mode: HoldModeOption = HoldFlag.AUTO,
    hold_policy: HoldPolicy = "canary-hold",
    notify_file: NotifyFile = None,
    notify_secrets: NotifySecrets = Path("/etc/canary/notify-secrets"),
    allow_network: AllowNetworks = None,
    refuse_network: RefuseNetworks = None,
    scrape_max_bytes: ScrapeMaxBytes = 2 << 20,
    scrape_max_series: ScrapeMaxSeries = 5000,
    notify_proxy: NotifyProxy = None,
    kubeconfig: OperatorKubeconfig = None,
    context: OperatorContext = None,
    metrics_address: MetricsAddress = "0.0.0.0:8080",
    metrics_token_file: MetricsTokenFile = None,
    metrics_tls_cert: MetricsTlsCert = None,
    metrics_tls_key: MetricsTlsKey = None,
    metrics_tls_address: MetricsTlsAddress = "0.0.0.0:8443",
    log_format: LogFormatOption = LogFormatFlag.JSON,
    log_level: LogLevelOption = LogLevelFlag.INFO,
) -> None:
    """Reconcile the CanaryReleases of a cluster until SIGTERM.

    Every option can also be set by its environment variable.

    Exit code 0: stopped by a signal; 1: the cluster cannot be reached; 2: invalid options; 7: the
    CRD is not installed, or forbidden.
    """
    from canary.http.addresses import AddressRules, parse_networks  # noqa: PLC0415 - as above
    from canary.metrics.exposition import PageLimits  # noqa: PLC0415 - as above
    from canary.metrics.options import PrometheusSources, checked_url  # noqa: PLC0415 - as above
    from canary.metrics.own_queries import OwnQueries  # noqa: PLC0415 - as above
    from canary.metrics.query_api import OPERATOR_BYTES, PrometheusOptions  # noqa: PLC0415 - as above
    from canary.notify import config  # noqa: PLC0415 - as above
    from canary.operator import main, settings  # noqa: PLC0415 - as above
    from canary.operator.pause_mode import PauseModeOption  # noqa: PLC0415 - keeps --help quick

    allowed = parse_networks("--allow-network", allow_network or ())
    limits = PrometheusOptions(
        settings.DEFAULT_PROMETHEUS,
        read_timeout=prometheus_timeout,
        addresses=settings.prometheus_rules(allowed),
        max_bytes=OPERATOR_BYTES,
    )
    prometheus = PrometheusSources(prometheus_url, prometheus_config, limits, "--prometheus-url")
    page = PageLimits(
        size=scrape_max_bytes, lines=max(scrape_max_bytes // 40, 1000), series=scrape_max_series
    )
    router = router_metrics_url and checked_url("--router-metrics-url", router_metrics_url)
    metrics = main.MetricsOptions(
        metrics_address, metrics_tls_address, metrics_token_file, metrics_tls_cert, metrics_tls_key
    )
    main.run_operator(
        settings.OperatorSettings(
            namespaces=tuple(namespace or ()),
            workers=workers,
            prometheus=prometheus,
            own_queries=OwnQueries(own_queries),
            router_metrics=router,
            addresses=AddressRules(
                parse_networks("--refuse-network", refuse_network or ()), allowed
            ),
            page=page,
            notify_proxy=notify_proxy and checked_url("--notify-proxy", notify_proxy),
            hold=PauseModeOption(hold_mode),
            policy=hold_policy,
            lease=settings.lease_name(lease_namespace, lease_name) if leader_elect else None,
            instance=settings.own_name(),
            notify=config.load_receivers(notify_file, notify_secrets),
            notify_secrets=notify_secrets,
        ),
        main.ProcessOptions(kubeconfig, context, metrics, log_format, log_level),
    )
