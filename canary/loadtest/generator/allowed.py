"""Decides which targets need no permission: this machine, and names inside a cluster. Pure."""

from collections.abc import Collection
from ipaddress import ip_address

from canary.errors import UsageError
from canary.loadtest.generator.plan import parse_host

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
