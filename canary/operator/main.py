"""`canary operator` as a process: logs, signals, the HTTP server, the real API server."""

import logging
import signal
import threading
from contextlib import ExitStack, closing
from dataclasses import dataclass

from canary import __version__
from canary.clock import SystemClock
from canary.kube.client import Client
from canary.kube.leases import ELECTION
from canary.kube.retrying import Policy
from canary.kube.timing import SystemTiming
from canary.kube.transport import Timeouts, load
from canary.metrics.prometheus import Prometheus
from canary.operator.logs import Format, Level, set_up
from canary.operator.metrics import Telemetry
from canary.operator.run import Api, Operator, check
from canary.operator.server import Server, parse_address
from canary.operator.settings import Settings

_log = logging.getLogger(__name__)

FIRST_LOOK = Policy(Timeouts(connect=3.0, read=10.0), attempts=2, budget=3.0)
"""At the start a person may be waiting for the answer."""


@dataclass(frozen=True, slots=True)
class Process:
    """What is about this process and not about releases."""

    kubeconfig: str | None
    context: str | None
    metrics_address: str
    log_format: str
    log_level: str


def serve(settings: Settings, process: Process) -> None:
    """Runs until SIGTERM or SIGINT. Raises CanaryError when it cannot begin."""
    address = parse_address(process.metrics_address)
    set_up(Format(process.log_format), Level(process.log_level))
    telemetry, timing = Telemetry(), SystemTiming()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        transport = load(process.kubeconfig, process.context, telemetry.rest)
        client = stack.enter_context(closing(Client(transport)))
        check(client.tuned(FIRST_LOOK), settings.namespaces)
        source = stack.enter_context(closing(Prometheus(settings.prometheus)))
        api = Api(client, client.fenced, client.tuned(ELECTION))
        operator = Operator(settings, api, source, telemetry, SystemClock(), timing)
        server = Server(address, operator.live, operator.ready, telemetry.registry)
        stack.callback(server.stop)
        _log.info("canary %s: probes and metrics on port %d", __version__, server.port)
        operator.run(stop)
