"""What is loaded without asking: this machine, and names that only a cluster knows. Pure."""

from collections.abc import Collection
from ipaddress import ip_address

from canary.errors import UsageError
from canary.loadtest.generator.plan import parse_host

_LOCAL_SUFFIXES = (".localhost", ".svc", ".cluster.local")


def check_allowed(url: str, more: Collection[str] = ()) -> None:
    """Lets pass what is allowed by itself or named in `more` (host names, exactly).

    Raises:
        UsageError: the host is neither; load on what is not one's own is an attack.
    """
    host = parse_host(url).rstrip(".").lower()
    if not _is_local(host) and host not in {name.rstrip(".").lower() for name in more}:
        raise UsageError(
            f"{host} is neither this machine nor a name inside a cluster (NAME, "
            f"NAME.NAMESPACE.svc): if it may be loaded, say so with --allow-host {host}"
        )


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return ("." not in host and not host.isdigit()) or host.endswith(_LOCAL_SUFFIXES)
