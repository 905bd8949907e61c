"""Decides which IP addresses the operator may connect to. Pure.

Names are not checked. A name is resolved once, its addresses are checked, and the connection goes
to one of these. For example, `http://metadata.example/` resolves to 169.254.169.254, which is
link-local, so nothing is sent. A name whose answer changes between two lookups cannot bypass the
check, because there is only one lookup.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

from canary.errors import PermanentError, UsageError

Network = IPv4Network | IPv6Network

_METADATA: Final = tuple(
    map(ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"))
)
"""Metadata services outside 169.254.0.0/16: Azure, Alibaba, Oracle, AWS over IPv6."""
_NAT64: Final = IPv6Network("64:ff9b::/96")


class AddressError(PermanentError):
    """Requests to this address are forbidden."""


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Loopback, link-local, multicast, unspecified and metadata addresses are rejected.

    Networks in `refused`, such as a cluster's Service range, are rejected as well. Networks in
    `allowed` are always accepted.
    """

    refused: tuple[Network, ...] = ()
    allowed: tuple[Network, ...] = ()

    def check(self, address: str) -> None:
        """Raise AddressError if requests to an IP address are forbidden."""
        found = _extract_ipv4(ip_address(address.partition("%")[0]))
        if _is_in_networks(found, self.allowed):
            return
        if why := _describe_forbidden(found) or (
            "in a refused network" if _is_in_networks(found, self.refused) else ""
        ):
            raise AddressError(
                f"its address is {why}: requests to it are forbidden; allow them with "
                "--allow-network"
            )


EVERYWHERE: Final = AddressRules(allowed=(ip_network("0.0.0.0/0"), ip_network("::/0")))
"""For addresses that the user of the command has typed."""


def parse_networks(option: str, texts: Iterable[str]) -> tuple[Network, ...]:
    """Parse networks such as `10.96.0.0/12`. Raises UsageError with the option's name."""
    try:
        return tuple(ip_network(text, strict=False) for text in texts)
    except ValueError as error:
        raise UsageError(f"{option}: expected a network such as 10.96.0.0/12: {error}") from error


def _extract_ipv4(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address embedded in an IPv6 address, if any."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(address.packed[-4:])
        return inner or address
    return address


def _describe_forbidden(address: IPv4Address | IPv6Address) -> str:
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local or address in _METADATA:
        return "a link-local or metadata address"
    if address.is_multicast or address.is_unspecified or address in IPv4Network("0.0.0.0/8"):
        return "not the address of a host"
    return "not the address of a host" if address == IPv4Address("255.255.255.255") else ""


def _is_in_networks(address: IPv4Address | IPv6Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
