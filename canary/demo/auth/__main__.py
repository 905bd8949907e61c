"""Runs one instance: `python -m canary.demo.auth --port … --dsn … --version good`.

After SIGUSR1 its health check fails while it keeps serving; after SIGUSR2 it passes again.
"""

import argparse
import os
import sys
from collections.abc import Callable
from signal import SIGUSR1, SIGUSR2, signal
from threading import Event
from types import FrameType

import uvicorn
from prometheus_client import disable_created_metrics

from canary.demo.auth.app import AuthSettings, build_app
from canary.demo.auth.versions import parse_version
from canary.errors import UsageError

KEEP_ALIVE_SECONDS = 75
"""Longer than the router keeps idle connections, so the router closes them."""


class AbruptServer(uvicorn.Server):
    """Exits at the first SIGTERM without finishing requests, as many services do."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Exit explicitly, because process 1 of a container has no default signal handlers."""
        del sig, frame
        os._exit(0)


def main() -> None:
    """Serve until SIGTERM, and finish the requests in flight."""
    parser = argparse.ArgumentParser(prog="canary.demo.auth", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dsn", required=True, help="where PostgreSQL is")
    parser.add_argument(
        "--version",
        default="good",
        help="good | leak | refuse | errors[:RATE] | slow[:S] | crash[:N]",
    )
    parser.add_argument("--label", default="v1", help="value of the header X-Version")
    parser.add_argument("--instance", default="auth", help="value of the header X-Instance")
    parser.add_argument("--pool-max", type=int, default=10)
    parser.add_argument("--pool-timeout", type=float, default=0.5, help="seconds")
    parser.add_argument(
        "--leak-every", type=int, default=100, help="1 login in N renews an outdated hash"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed that decides which requests fail")
    parser.add_argument("--abrupt", action="store_true", help="exit at once on SIGTERM")
    parser.add_argument(
        "--graceful", type=int, default=5, help="seconds to complete requests after SIGTERM"
    )
    chosen = parser.parse_args()
    try:
        version = parse_version(chosen.version)
    except UsageError as error:
        parser.error(str(error))
    settings = AuthSettings(
        dsn=chosen.dsn,
        version=version,
        label=chosen.label,
        instance=chosen.instance,
        pool_max=chosen.pool_max,
        pool_timeout=chosen.pool_timeout,
        renew_every=chosen.leak_every,
        seed=chosen.seed,
        healthy=_health_by_signal(),
    )
    # Without this every counter has an unused second series, which doubles the page.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    config = uvicorn.Config(
        build_app(settings),
        host=chosen.host,
        port=chosen.port,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=chosen.graceful,
    )
    server = AbruptServer(config) if chosen.abrupt else uvicorn.Server(config)
    server.run()
    if not server.started:
        sys.exit(1)


def _health_by_signal() -> Callable[[], bool]:
    healthy = Event()
    healthy.set()
    signal(SIGUSR1, lambda *_: healthy.clear())
    signal(SIGUSR2, lambda *_: healthy.set())
    return healthy.is_set


if __name__ == "__main__":
    main()
