"""libcurl as this load uses it. One handle is one request under way."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

import certifi
import pycurl

from canary.errors import TransientError
from canary.loadtest.generator.mix import Written
from canary.loadtest.generator.plan import Plan

_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))
AGENT: Final = "canary-loadtest"
_HTTP2_STREAM: Final = 92
"""CURLE_HTTP2_STREAM, which pycurl has no name for."""
REASONS: Final[Mapping[int, str]] = {
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_COULDNT_CONNECT: "refused",
    pycurl.E_COULDNT_RESOLVE_HOST: "unresolved",
    pycurl.E_GOT_NOTHING: "reset",
    pycurl.E_RECV_ERROR: "reset",
    pycurl.E_SEND_ERROR: "reset",
    pycurl.E_PARTIAL_FILE: "reset",
    pycurl.E_SSL_CONNECT_ERROR: "tls",
    pycurl.E_PEER_FAILED_VERIFICATION: "tls",
    pycurl.E_HTTP2: "http2",
    _HTTP2_STREAM: "http2",
    pycurl.E_UNSUPPORTED_PROTOCOL: "protocol",
}
"""What a request that got no answer is counted as; others are `broken`."""


def handle(plan: Plan) -> pycurl.Curl:
    """A handle with all that is the same for every request of a plan."""
    curl = pycurl.Curl()
    for option, value in _options(plan):
        curl.setopt(option, value)
    return curl


def _options(plan: Plan) -> list[tuple[int, object]]:
    return [
        (pycurl.NOSIGNAL, 1),
        (pycurl.PROXY, ""),  # a proxy of the environment would be what is measured
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.USERAGENT, AGENT),
        (pycurl.TIMEOUT_MS, round(plan.timeout * 1000)),
        (pycurl.WRITEFUNCTION, _thrown_away),
        (pycurl.HTTP_VERSION, _version(plan)),
        (pycurl.PIPEWAIT, int(plan.http2)),
        (pycurl.CAINFO, plan.tls.ca_file or certifi.where()),
        (pycurl.SSL_VERIFYPEER, int(not plan.tls.insecure)),
        (pycurl.SSL_VERIFYHOST, 0 if plan.tls.insecure else 2),
    ]


def _version(plan: Plan) -> int:
    if plan.http2:
        return pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
    return pycurl.CURL_HTTP_VERSION_1_1


def _thrown_away(_: bytes) -> None:
    """What the answer says is nobody's business here."""


def address(curl: pycurl.Curl, base: str, request: Written) -> None:
    """Makes a handle send this request next."""
    curl.setopt(pycurl.URL, _encoded(base + request.path))
    curl.setopt(pycurl.HTTPHEADER, _headers(request))
    method = request.kind.method
    if request.body is not None:
        curl.setopt(pycurl.POSTFIELDS, request.body)
    elif method == "POST":
        curl.setopt(pycurl.POSTFIELDS, b"")
    elif method == "HEAD":
        curl.setopt(pycurl.NOBODY, 1)
        return
    else:
        curl.setopt(pycurl.HTTPGET, 1)
    curl.setopt(pycurl.CUSTOMREQUEST, method)


def _encoded(url: str) -> str:
    """The URL as it may go out; what is encoded already stays so."""
    return url if url.isascii() and " " not in url else quote(url, safe=_ASCII)


def _headers(request: Written) -> list[bytes]:
    """Its own, and none that libcurl would add by itself to a body."""
    given = {line.partition(":")[0].lower() for line in request.headers}
    kept = [f"{name}:" for name in ("Expect", "Content-Type") if name.lower() not in given]
    return [line.encode() for line in request.headers + kept]


def multi(
    in_flight: int, timer: Callable[[int], None], socket: Callable[..., None]
) -> pycurl.CurlMulti:
    """The set of all requests under way, which says what it waits for through the callbacks."""
    curls = pycurl.CurlMulti()
    curls.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
    curls.setopt(pycurl.M_MAXCONNECTS, in_flight)
    curls.setopt(pycurl.M_SOCKETFUNCTION, socket)
    curls.setopt(pycurl.M_TIMERFUNCTION, timer)
    return curls


def connect(plan: Plan) -> None:
    """Opens one connection and sends nothing.

    Raises:
        TransientError: that is not possible; the message says why and what to look at.
    """
    curl = handle(plan)
    curl.setopt(pycurl.URL, plan.base + "/")
    curl.setopt(pycurl.CONNECT_ONLY, 1)
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, round(min(plan.timeout, 10.0) * 1000))
    try:
        curl.perform()
    except pycurl.error as error:
        code, *words = error.args
        raise TransientError(_unreachable(plan, int(code), " ".join(map(str, words)))) from error
    finally:
        curl.close()


def _unreachable(plan: Plan, code: int, words: str) -> str:
    place = urlsplit(plan.url).netloc
    match REASONS.get(code):
        case "tls":
            return (
                f"no secure connection to {place}: {words} (--ca-file FILE names the certificate "
                "authority, --insecure checks nothing)"
            )
        case "unresolved":
            return f"the name in {plan.url} is not known here: check it, and where this runs"
        case "timeout":
            return (
                f"{place} did not take a connection in time: is it running, is a firewall between?"
            )
        case _:
            return f"cannot connect to {place}: {words}"
