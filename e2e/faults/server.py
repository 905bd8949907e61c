"""The service of the fault tests: a share of its requests fails. Standard library only; runs in a pod."""

import os
import random
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ["VERSION"]
ERRORS = float(os.environ["ERRORS"])


class Handler(BaseHTTPRequestHandler):
    """Answers 200 or, for a share of the requests, 500."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer any path; probes never fail."""
        failed = self.path != "/healthz" and random.random() < ERRORS  # noqa: S311 - no secret
        self.send_response_only(500 if failed else 200)
        self.send_header("X-Version", VERSION)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 128
    daemon_threads = True


server = Server(("0.0.0.0", 8080), Handler)  # noqa: S104 - a pod's own address
# Requests that are under way when the pod is told to end are answered.
signal.signal(signal.SIGTERM, lambda *_: threading.Timer(3, server.shutdown).start())
server.serve_forever()
