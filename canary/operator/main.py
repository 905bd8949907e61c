"""The process of `canary operator`: logs, signals, HTTP server and API client."""

import logging
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from canary import __version__
from canary.clock import SystemClock
from canary.errors import UsageError
from canary.kube.client import Client
from canary.kube.leases import ELECTION
from canary.kube.retrying import RetryPolicy
from canary.kube.timing import SystemTiming
from canary.kube.transport import RequestTimeouts, load_transport
from canary.metrics.prometheus import Prometheus
from canary.operator.logs import LogFormat, LogLevel, configure_logging
from canary.operator.memory import relieve_garbage_collector, return_freed_memory
from canary.operator.metrics import OperatorMetrics
from canary.operator.metrics_access import BearerToken, ServerCertificate
from canary.operator.run import ApiAccess, Operator, check_access
from canary.operator.server import METRICS_TLS_ADDRESS, OperatorServer, Probe, parse_address
from canary.operator.settings import OperatorSettings

_log = logging.getLogger(__name__)

STARTUP_POLICY = RetryPolicy(RequestTimeouts(connect=3.0, read=10.0), attempts=2, budget=3.0)
"""Few retries at the start, when a person may be waiting for the result."""


@dataclass(frozen=True, slots=True)
class MetricsOptions:
    """Where probes and metrics are served, and to whom metrics are."""

    address: str
    """HOST:PORT of the probes, and of the metrics where they are not encrypted."""
    tls_address: str
    """HOST:PORT of the metrics where they are encrypted."""
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def certificate(self) -> ServerCertificate | None:
        """Return the certificate, if there is one. Raises UsageError."""
        if self.tls_cert is not None and self.tls_key is not None:
            return ServerCertificate(self.tls_cert, self.tls_key)
        if self.tls_cert != self.tls_key:
            raise UsageError("--metrics-tls-cert and --metrics-tls-key: expected both, found one")
        return None


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """Options of the process, as opposed to those of releases."""

    kubeconfig: str | None
    context: str | None
    metrics: MetricsOptions
    log_format: str
    log_level: str


def run_operator(settings: OperatorSettings, process: ProcessOptions) -> None:
    """Run until SIGTERM or SIGINT. Raises CanaryError when the operator cannot start."""
    return_freed_memory()
    configure_logging(LogFormat(process.log_format), LogLevel(process.log_level))
    telemetry, timing = OperatorMetrics(), SystemTiming()
    serve = prepare_servers(process.metrics, telemetry.registry)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        transport = load_transport(process.kubeconfig, process.context, telemetry.rest)
        client = stack.enter_context(closing(Client(transport)))
        check_access(client.with_policy(STARTUP_POLICY), settings.namespaces)
        api = ApiAccess(client, client.with_fence, client.with_policy(ELECTION))
        operator = Operator(settings, api, Prometheus, telemetry, SystemClock(), timing)
        servers = serve({"/livez": operator.live, "/readyz": operator.ready})
        for server in servers:
            stack.callback(server.stop)
        relieve_garbage_collector()
        ports = " and ".join(str(server.port) for server in servers)
        _log.info("canary %s serves probes and metrics on port %s", __version__, ports)
        operator.run(stop)


def prepare_servers(
    options: MetricsOptions, registry: CollectorRegistry
) -> Callable[[Mapping[str, Probe]], list[OperatorServer]]:
    """Check the options, and return what starts the servers for the given probes.

    With a certificate the metrics have a port of their own: the kubelet and its probes know neither
    the certificate's authority nor the token. Raises UsageError.
    """
    plain = parse_address(options.address)
    encrypted = parse_address(options.tls_address, METRICS_TLS_ADDRESS)
    token = BearerToken(options.token_file) if options.token_file is not None else None
    certificate = options.certificate()

    def start(probes: Mapping[str, Probe]) -> list[OperatorServer]:
        if certificate is None:
            return [OperatorServer(plain, probes, registry, token)]
        return [
            OperatorServer(plain, probes, None),
            OperatorServer(encrypted, {}, registry, token, certificate),
        ]

    return start
