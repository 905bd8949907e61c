"""Which addresses may be connected to on behalf of somebody else. Pure.

A name decides nothing: it is resolved once, its addresses are checked, and one of those is
connected to. A worked example: `http://metadata.example/` resolves to 169.254.169.254, which is
link-local, so nothing is sent; a name that changes its answer between two lookups gains nothing.
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
    """Nothing is sent to this address."""


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Loopback, link-local, multicast, unspecified and metadata addresses are refused.

    So are `refused` networks, such as a cluster's range of Services; `allowed` ones never are.
    """

    refused: tuple[Network, ...] = ()
    allowed: tuple[Network, ...] = ()

    def check(self, address: str) -> None:
        """Raise AddressError where nothing may be sent to an IP address."""
        found = _embedded(ip_address(address.partition("%")[0]))
        if _in(found, self.allowed):
            return
        if why := _kind(found) or ("in a refused network" if _in(found, self.refused) else ""):
            raise AddressError(
                f"its address is {why}: nothing is sent there unless --allow-network says so"
            )


EVERYWHERE: Final = AddressRules(allowed=(ip_network("0.0.0.0/0"), ip_network("::/0")))
"""For addresses that the person who runs the command has typed."""


def parse_networks(option: str, texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks such as `10.96.0.0/12`. Raises UsageError, with the option's name."""
    try:
        return tuple(ip_network(text, strict=False) for text in texts)
    except ValueError as error:
        raise UsageError(
            f"{option}: a network such as 10.96.0.0/12 is expected: {error}"
        ) from error


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, if any."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(address.packed[-4:])
        return inner or address
    return address


def _kind(address: IPv4Address | IPv6Address) -> str:
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local or address in _METADATA:
        return "a link-local or metadata address"
    if address.is_multicast or address.is_unspecified or address in IPv4Network("0.0.0.0/8"):
        return "no address of a host"
    return "no address of a host" if address == IPv4Address("255.255.255.255") else ""


def _in(address: IPv4Address | IPv6Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
