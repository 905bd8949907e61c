"""Which proxy a request goes through, by the rules of Prometheus and Go. Pure."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from canary.http.urls import split_url


def environment_proxy(url: str, environment: Mapping[str, str]) -> str | None:
    """Return the proxy of HTTP_PROXY or HTTPS_PROXY, unless NO_PROXY excludes the URL."""
    proxy = _read_variable(environment, f"{split_url(url).scheme}_proxy")
    return proxy if proxy and needs_proxy(url, _read_variable(environment, "no_proxy")) else None


def needs_proxy(url: str, no_proxy: str) -> bool:
    """Return whether a request goes through the proxy.

    `no_proxy` is a list such as `example.com,.corp,10.0.0.0/8,db:5432`: `example.com` is that name
    and all below it, `.corp` only those below it, `*` is everything. Loopback never needs a proxy.
    """
    parts = split_url(url)
    host = (parts.hostname or "").rstrip(".").lower()
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    address = _parse_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return False
    return not any(
        _matches_rule(one.strip().lower(), host, port, address) for one in no_proxy.split(",")
    )


def _matches_rule(
    rule: str, host: str, port: int, address: IPv4Address | IPv6Address | None
) -> bool:
    if not rule or rule == "*":
        return rule == "*"
    if address is not None and "/" in rule:
        try:
            return address in ip_network(rule, strict=False)
        except ValueError:
            return False
    name, colon, rest = rule.rpartition(":")
    if colon and rest.isdecimal() and _parse_address(rule) is None:
        if int(rest) != port:
            return False
        rule = name
    rule = rule.strip("[]").removeprefix("*")
    if address is not None:
        return _parse_address(rule) == address
    return host == rule or host.endswith(rule if rule.startswith(".") else f".{rule}")


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _read_variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name) or ""
