"""Builds and parses URLs. Pure."""

from base64 import b64encode
from ipaddress import ip_address
from urllib.parse import SplitResult, quote, unquote, urlsplit

_LARGEST_PORT = 65535
_UNQUOTED = "/-._~!$&'()*+,;=:@"


def build_url(scheme: str, address: str, port: str, path: str) -> str:
    """Return a URL such as `http://10.0.0.7:9090/metrics`; special characters are quoted.

    `address` is an IP address. `path` is not quoted yet, so a `?` in it belongs to the path, as in
    Prometheus.

    Raises:
        ValueError: a part is invalid; the message does not contain it.
    """
    if scheme not in {"http", "https"}:
        raise ValueError("expected the scheme http or https")
    host = ip_address(address)
    shown = f"[{host}]" if ":" in str(host) else str(host)
    return f"{scheme}://{shown}:{parse_port(port)}{build_path(path)}"


def parse_port(text: str) -> int:
    """Parse a port from 1 to 65535. Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 5):  # noqa: PLR2004  # of 65535
        raise ValueError("expected a port from 1 to 65535")
    if not 1 <= int(text) <= _LARGEST_PORT:
        raise ValueError("expected a port from 1 to 65535")
    return int(text)


def build_path(text: str) -> str:
    """Quote the path of a URL. Raises ValueError if a segment is `.` or `..`."""
    if {".", ".."} & set(text.replace("\\", "/").split("/")):
        raise ValueError("expected a path without the segments . and ..")
    return "/" + quote(text.lstrip("/"), safe=_UNQUOTED, errors="replace")


def split_url(url: str) -> SplitResult:
    """Split a URL to which requests may be sent.

    Raises:
        ValueError: not http or https, without host, with a user name, or with white space.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("expected http://HOST:PORT or https://…")
    if "@" in parts.netloc:
        raise ValueError("expected an address without a user's name or password")
    if any(one.isspace() or not one.isprintable() for one in url) or "\\" in parts.netloc:
        raise ValueError("expected an address without white space")
    return parts


def split_credentials(url: str) -> tuple[str, dict[str, str]]:
    """Return a URL without name and password, and a header with them. Raises ValueError."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return bare.geturl(), basic_auth(unquote(parts.username), unquote(parts.password or ""))


def basic_auth(username: str, password: str) -> dict[str, str]:
    """Return the header of basic authentication (RFC 7617), in UTF-8."""
    return {"Authorization": f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"}
