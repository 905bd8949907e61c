"""The proxy between operator and server forwards, counts writes, and breaks what a fault says."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from e2e.faults.broken_answers import FAULTS_OF_PROMETHEUS, GoneWatches, Refuse, StopAtWrite
from e2e.faults.processes import OperatorProcess
from e2e.faults.proxy import Fault, FaultProxy, ProxiedRequest, ProxiedResponse

SERIES = [{"metric": {"n": str(n)}, "values": [[10, "1"], [20, "2"]]} for n in range(2)]
ANSWER = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": SERIES}})


@pytest.fixture
def server() -> Iterator[str]:
    """A server that gives the same answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER.encode())

        do_PATCH = do_PUT = do_GET  # noqa: N815 - names of http.server

        def log_message(self, *_: object) -> None:
            """Nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    http.server_close()


def test_without_a_fault_everything_is_forwarded(server: str):
    """Writes are kept with their status; leases and Events are none of a release's writes."""
    proxy = FaultProxy(server)
    with proxy.serve() as url:
        assert requests.get(f"{url}/api", timeout=5).text == ANSWER
        for path in ("/apis/x/deployments/auth", "/apis/x/leases/y", "/apis/x/events"):
            assert requests.patch(f"{url}{path}", data="[]", timeout=5).ok
    assert [(str(one.request), one.status) for one in proxy.writes] == [
        ("PATCH /apis/x/deployments/auth", 200)
    ]


def test_the_write_at_which_the_operator_is_killed_is_not_forwarded(server: str):
    """The one before is; the operator is stopped once, and gets no answer."""
    stops: list[int] = []
    fault = StopAtWrite(2, lambda: stops.append(1))
    proxy = FaultProxy(server, fault=fault)
    with proxy.serve() as url:
        assert requests.put(f"{url}/first", timeout=5).ok
        for _ in range(2):
            with pytest.raises(requests.ConnectionError):
                requests.put(f"{url}/second", timeout=5)
    assert [str(one.request) for one in proxy.writes] == ["PUT /first"]
    assert (stops, fault.stopped_at) == ([1], "PUT /second")


def broken(fault: Fault) -> ProxiedResponse:
    """What becomes of the answer of a Prometheus."""
    request = ProxiedRequest("GET", "/api/v1/query_range", b"")
    return fault.after(request, ProxiedResponse(200, ANSWER.encode()))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        pytest.param("answers NaN", [["NaN", "NaN"], ["NaN", "NaN"]], id="NaN"),
        pytest.param("leaves every second series out", [["1", "2"]], id="partial"),
        pytest.param("answers with values in reverse order", [["2", "1"]] * 2, id="backwards"),
    ],
)
def test_samples_are_broken_series_by_series(name: str, values: list[list[str]]):
    """The answer stays a valid one."""
    found = json.loads(broken(FAULTS_OF_PROMETHEUS[name]()).body)["data"]["result"]
    assert [[value for _, value in row["values"]] for row in found] == values


def test_half_a_document_is_no_document():
    """Its status is 200 nevertheless."""
    answer = broken(FAULTS_OF_PROMETHEUS["answers half a document"]())
    assert answer.status == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(answer.body)


def test_refusals_name_a_time_to_wait():
    """As the API server's priority levels do; watches that are gone are refused alone."""
    answer = Refuse(429).before(ProxiedRequest("GET", "/api", b""))
    assert answer is not None
    assert (answer.status, dict(answer.headers)["Retry-After"]) == (429, "1")
    gone = GoneWatches()
    assert gone.before(ProxiedRequest("GET", "/api/pods", b"")) is None
    answer = gone.before(ProxiedRequest("GET", "/api/pods?watch=true", b""))
    assert answer is not None
    assert answer.status == 410


def test_a_log_on_a_device_without_end_is_not_read():
    """/dev/full gives zeros for ever; a file is searched for errors that nobody expected."""
    proxy = FaultProxy("http://127.0.0.1:1")
    assert OperatorProcess(proxy, proxy, (), Path("/dev/full")).crashes() == []
