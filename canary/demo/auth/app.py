"""The routes of the auth service."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from json import JSONDecodeError
from time import perf_counter

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from psycopg import OperationalError
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from canary.demo.auth import leaky, store
from canary.demo.auth.credentials import Passwords, Tokens
from canary.demo.auth.pool import Pool, PoolCollector, make_pool
from canary.demo.auth.versions import FaultyApp, ServiceVersion

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


START_SECONDS = 5.0

RenewHash = Callable[[Pool, int, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """How one instance runs."""

    dsn: str
    version: ServiceVersion
    label: str
    """Value of the header X-Version."""
    instance: str
    pool_max: int = 10
    pool_timeout: float = 0.5
    """Seconds that a request waits for a connection before it fails with 503."""
    renew_every: int = 100
    """One account in this many has an outdated hash, which every login renews."""
    seed: int = 0
    healthy: Callable[[], bool] = lambda: True
    """Whether the health check passes."""


class AuthService:
    """The handlers, over one pool."""

    def __init__(self, pool: Pool, renew: RenewHash, settings: AuthSettings) -> None:
        self._pool = pool
        self._renew = renew
        self._renew_every = settings.renew_every
        self._healthy = settings.healthy
        self._passwords = Passwords()
        self._tokens = Tokens("")
        self._ready = False

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Open the pool; the service is ready once the pool is full and the secret is read."""
        async with self._pool:
            await self._pool.wait(START_SECONDS)
            self._tokens = Tokens(await store.read_secret(self._pool))
            self._ready = True
            yield
            self._ready = False

    async def register(self, request: Request) -> Response:
        """POST {user, password} → 201 {id}; 409 when the name is taken."""
        name, password = await _read_credentials(request)
        account = await store.add_account(self._pool, name, await self._passwords.hash(password))
        if account is None:
            return JSONResponse({"error": "this name is taken"}, 409)
        return JSONResponse({"id": account}, 201)

    async def login(self, request: Request) -> Response:
        """POST {user, password} → 200 {token}; 401 when they do not match."""
        name, password = await _read_credentials(request)
        account = await store.find_account(self._pool, name)
        if not account or not await self._passwords.match(account.password_hash, password):
            return JSONResponse({"error": "wrong name or password"}, 401)
        if account.id % self._renew_every == 0:
            await self._renew(self._pool, account.id, await self._passwords.hash(password))
        return JSONResponse({"token": self._tokens.issue(account.id)})

    async def check(self, request: Request) -> Response:
        """GET with `Authorization: Bearer TOKEN` → 200 {id}; 401 for an invalid token."""
        account = self._tokens.check(
            request.headers.get("Authorization", "").removeprefix("Bearer ")
        )
        if account is None:
            return JSONResponse({"error": "not a valid token"}, 401)
        return JSONResponse({"id": account})

    async def health(self, _request: Request) -> Response:
        """GET → 200 if the service is ready; 503 before that, and while the check must fail."""
        return Response(status_code=200 if self._ready and self._healthy() else 503)


def build_app(settings: AuthSettings) -> ASGIApp:
    """Build the instance as an ASGI application."""
    pool = make_pool(
        settings.dsn,
        maximum=settings.pool_max,
        timeout=settings.pool_timeout,
        name=settings.instance,
    )
    renew = leaky.renew_hash if settings.version.leaks else store.renew_hash
    service = AuthService(pool, renew, settings)
    registry = CollectorRegistry()
    registry.register(PoolCollector(pool))
    users = Starlette(
        routes=[
            Route("/register", service.register, methods=["POST"]),
            Route("/login", service.login, methods=["POST"]),
            Route("/check", service.check),
        ],
        exception_handlers={OperationalError: _answer_unavailable},  # a PoolTimeout is one as well
    )
    flawed = FaultyApp(users, settings.version, f"{settings.seed} {settings.instance}")
    observed = RequestMetrics(flawed, registry, version=settings.label, instance=settings.instance)
    return _with_probes(observed, service, registry)


def _with_probes(users: ASGIApp, service: AuthService, registry: CollectorRegistry) -> ASGIApp:
    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    probes = [Route("/healthz", service.health), Route("/metrics", metrics)]
    app = Starlette(routes=probes, lifespan=service.lifespan)
    app.mount("/", users)
    return app


async def _read_credentials(request: Request) -> tuple[str, str]:
    try:
        body = await request.json()
        return str(body["user"]), str(body["password"])
    except (JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise HTTPException(400, "expected a JSON object with user and password") from error


async def _answer_unavailable(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"no database connection: {error}"}, 503)
