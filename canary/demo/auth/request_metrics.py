"""Request metrics of the service, and headers with the version and instance that answered."""

from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COUNTED_PATHS = frozenset({"/register", "/login", "/check"})
"""Only these paths are counted; probes and scrapes are not user requests."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class RequestMetrics:
    """Counts and times the requests of an application, and sets X-Version and X-Instance."""

    def __init__(
        self, app: ASGIApp, registry: CollectorRegistry, *, version: str, instance: str
    ) -> None:
        self._app = app
        self._headers = {"X-Version": version, "X-Instance": instance}
        self._requests = Counter(
            "http_requests", "Requests answered", ("method", "handler", "code"), registry=registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time to answer",
            ("method", "handler"),
            buckets=BUCKETS,
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http" or scope["path"] not in COUNTED_PATHS:
            await self._app(scope, receive, send)
            return
        code = 500
        start = perf_counter()

        async def signed(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        try:
            await self._app(scope, receive, signed)
        finally:
            labels = (scope["method"], scope["path"])
            self._seconds.labels(*labels).observe(perf_counter() - start)
            self._requests.labels(*labels, str(code)).inc()
