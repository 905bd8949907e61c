"""The process of `canary operator`: logs, signals, HTTP server and API client."""

import gc
import logging
import signal
import threading
from contextlib import ExitStack, closing
from dataclasses import dataclass

from canary import __version__
from canary.clock import SystemClock
from canary.kube.client import Client
from canary.kube.leases import ELECTION
from canary.kube.retrying import RetryPolicy
from canary.kube.timing import SystemTiming
from canary.kube.transport import RequestTimeouts, load_transport
from canary.metrics.prometheus import Prometheus
from canary.operator.logs import LogFormat, LogLevel, configure_logging
from canary.operator.metrics import OperatorMetrics
from canary.operator.run import ApiAccess, Operator, check_access
from canary.operator.server import ProbeServer, parse_address
from canary.operator.settings import OperatorSettings

_log = logging.getLogger(__name__)

STARTUP_POLICY = RetryPolicy(RequestTimeouts(connect=3.0, read=10.0), attempts=2, budget=3.0)
"""Few retries at the start, when a person may be waiting for the result."""


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """Options of the process, as opposed to those of releases."""

    kubeconfig: str | None
    context: str | None
    metrics_address: str
    log_format: str
    log_level: str


def run_operator(settings: OperatorSettings, process: ProcessOptions) -> None:
    """Run until SIGTERM or SIGINT. Raises CanaryError when the operator cannot start."""
    address = parse_address(process.metrics_address)
    configure_logging(LogFormat(process.log_format), LogLevel(process.log_level))
    telemetry, timing = OperatorMetrics(), SystemTiming()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        transport = load_transport(process.kubeconfig, process.context, telemetry.rest)
        client = stack.enter_context(closing(Client(transport)))
        check_access(client.tuned(STARTUP_POLICY), settings.namespaces)
        api = ApiAccess(client, client.fenced, client.tuned(ELECTION))
        operator = Operator(settings, api, Prometheus, telemetry, SystemClock(), timing)
        server = ProbeServer(address, operator.live, operator.ready, telemetry.registry)
        stack.callback(server.stop)
        _relieve_garbage_collector()
        _log.info("canary %s serves probes and metrics on port %d", __version__, server.port)
        operator.run(stop)


def _relieve_garbage_collector() -> None:
    """Exclude all objects that exist now from garbage collection, and collect less often.

    Responses of Prometheus are thousands of small objects without cycles. With Python's threshold
    of 700, each would trigger tens of collections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
