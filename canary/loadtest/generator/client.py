"""Configures libcurl. Each handle carries one request at a time."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

import certifi
import pycurl

from canary.errors import TransientError
from canary.loadtest.generator.mix import RenderedRequest
from canary.loadtest.generator.plan import LoadPlan

_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))
USER_AGENT: Final = "canary-loadtest"
_HTTP2_STREAM: Final = 92
"""CURLE_HTTP2_STREAM, for which pycurl has no constant."""
FAILURE_NAMES: Final[Mapping[int, str]] = {
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
"""The status under which a request without an answer is counted; other errors are `broken`."""


def create_handle(plan: LoadPlan) -> pycurl.Curl:
    """Create a handle with the options that all requests of a plan share."""
    curl = pycurl.Curl()
    for option, value in _list_options(plan):
        curl.setopt(option, value)
    return curl


def _list_options(plan: LoadPlan) -> list[tuple[int, object]]:
    return [
        (pycurl.NOSIGNAL, 1),
        (pycurl.PROXY, ""),  # a proxy from the environment would be measured instead
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.USERAGENT, USER_AGENT),
        (pycurl.TIMEOUT_MS, round(plan.timeout * 1000)),
        (pycurl.WRITEFUNCTION, _discard_body),
        (pycurl.HTTP_VERSION, _http_version(plan)),
        (pycurl.PIPEWAIT, int(plan.http2)),
        (pycurl.CAINFO, plan.tls.ca_file or certifi.where()),
        (pycurl.SSL_VERIFYPEER, int(not plan.tls.insecure)),
        (pycurl.SSL_VERIFYHOST, 0 if plan.tls.insecure else 2),
    ]


def _http_version(plan: LoadPlan) -> int:
    if plan.http2:
        return pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
    return pycurl.CURL_HTTP_VERSION_1_1


def _discard_body(_: bytes) -> None:
    """Ignore the content of the answer."""


def prepare_request(curl: pycurl.Curl, base: str, request: RenderedRequest) -> None:
    """Make a handle send this request next."""
    curl.setopt(pycurl.URL, _encode_url(base + request.path))
    curl.setopt(pycurl.HTTPHEADER, _build_headers(request))
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


def _encode_url(url: str) -> str:
    """Percent-encode a URL; characters that are encoded already stay as they are."""
    return url if url.isascii() and " " not in url else quote(url, safe=_ASCII)


def _build_headers(request: RenderedRequest) -> list[bytes]:
    """Return the request's headers, and suppress those that libcurl would add to a body."""
    given = {line.partition(":")[0].lower() for line in request.headers}
    kept = [f"{name}:" for name in ("Expect", "Content-Type") if name.lower() not in given]
    return [line.encode() for line in request.headers + kept]


def create_multi(
    in_flight: int, timer: Callable[[int], None], socket: Callable[..., None]
) -> pycurl.CurlMulti:
    """Create the set of requests in flight; it reports what it waits for through the callbacks."""
    curls = pycurl.CurlMulti()
    curls.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
    curls.setopt(pycurl.M_MAXCONNECTS, in_flight)
    curls.setopt(pycurl.M_SOCKETFUNCTION, socket)
    curls.setopt(pycurl.M_TIMERFUNCTION, timer)
    return curls


def check_connection(plan: LoadPlan) -> None:
    """Open one connection without sending a request.

    Raises:
        TransientError: no connection; the message has the cause and what to check.
    """
    curl = create_handle(plan)
    curl.setopt(pycurl.URL, plan.base + "/")
    curl.setopt(pycurl.CONNECT_ONLY, 1)
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, round(min(plan.timeout, 10.0) * 1000))
    try:
        curl.perform()
    except pycurl.error as error:
        code, *words = error.args
        raise TransientError(
            _describe_failure(plan, int(code), " ".join(map(str, words)))
        ) from error
    finally:
        curl.close()


def _describe_failure(plan: LoadPlan, code: int, words: str) -> str:
    place = urlsplit(plan.url).netloc
    match FAILURE_NAMES.get(code):
        case "tls":
            return (
                f"TLS handshake with {place} failed: {words} (set --ca-file FILE for a private "
                "certificate authority, or --insecure to skip verification)"
            )
        case "unresolved":
            return f"cannot resolve the host name of {plan.url} from this machine"
        case "timeout":
            return f"{place} did not accept a connection in time: check that it runs, and firewalls"
        case _:
            return f"cannot connect to {place}: {words}"
