"""A load plan: what is sent where and when, and by how many processes. Pure, and picklable."""

from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from canary.errors import UsageError
from canary.loadtest.generator.mix import RequestMix
from canary.loadtest.generator.schedule import LoadSchedule

MAX_RATE = 50_000.0
"""Maximum rate in requests per second."""
MAX_SECONDS = 4 * 3600.0
MAX_IN_FLIGHT = 20_000
MAX_WORKERS = 64
MAX_TIMEOUT = 120.0
"""Maximum timeout in seconds."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How the certificate of an https target is verified."""

    ca_file: str | None = None
    """File of certificate authorities (PEM); None: those of certifi."""
    insecure: bool = False
    """Do not verify the certificate."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A load plan. Hard caps keep a typing error from becoming an outage."""

    url: str
    """`http://host:port`, optionally with a path to which the requests' paths are appended."""
    schedule: LoadSchedule
    mix: RequestMix = field(default_factory=RequestMix)
    workers: int = 1
    """Number of processes; each sends an equal part of the schedule."""
    max_in_flight: int = 2000
    """Maximum requests without an answer, of all workers; one due beyond that is not sent."""
    timeout: float = 10.0
    """Seconds after sending until a request counts as failed."""
    http2: bool = False
    tls: TlsSettings = field(default_factory=TlsSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise UsageError for an invalid target or a value above its cap."""
        parse_host(self.url)
        _check_cap("the rate", self.schedule.peak, MAX_RATE, " requests/s")
        _check_cap("the load", self.schedule.seconds, MAX_SECONDS, " s")
        _check_cap("the number of workers", self.workers, MAX_WORKERS, "")
        _check_cap("the number of requests in flight", self.max_in_flight, MAX_IN_FLIGHT, "")
        _check_cap("the timeout", self.timeout, MAX_TIMEOUT, " s")
        if self.workers > self.max_in_flight:
            raise UsageError(
                "expected at least one request in flight for each of the "
                f"{self.workers} workers, found {self.max_in_flight}"
            )

    @property
    def base(self) -> str:
        """The URL without a trailing slash."""
        return self.url.rstrip("/")

    def share(self, worker: int) -> int:
        """Return the number of requests that one worker may have in flight."""
        each, rest = divmod(self.max_in_flight, self.workers)
        return each + (worker < rest)


def _check_cap(name: str, value: float, most: float, unit: str) -> None:
    if not 0 < value <= most:
        raise UsageError(
            f"{name} must be above 0 and at most {most:g}{unit}, found {value:g}{unit}"
        )


def parse_host(url: str) -> str:
    """Return the host name of a URL.

    Raises:
        UsageError: not an http or https URL to which requests can be sent.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"expected a URL such as http://127.0.0.1:8080, found {url!r}") from error
    plain = parts.netloc.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in {"http", "https"} or not host or not plain:
        raise UsageError(f"expected a URL such as http://127.0.0.1:8080, found {url!r}")
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError(
            "expected a URL without a user name, ? or # (put the query into a request's path, and "
            "credentials into its headers)"
        )
    return host


_LOCAL_SUFFIXES = (".localhost", ".svc", ".cluster.local")


def check_allowed(url: str, more: Collection[str] = ()) -> None:
    """Check that a target is local, inside a cluster, or listed in `more` (exact host names).

    Raises:
        UsageError: the host is none of them; load on somebody else's host is an attack.
    """
    host = parse_host(url).rstrip(".").lower()
    if not _is_local(host) and host not in {name.rstrip(".").lower() for name in more}:
        raise UsageError(
            f"{host} is neither this machine nor a name inside a cluster (NAME, "
            f"NAME.NAMESPACE.svc): to allow load on it, pass --allow-host {host}"
        )


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return ("." not in host and not host.isdigit()) or host.endswith(_LOCAL_SUFFIXES)
