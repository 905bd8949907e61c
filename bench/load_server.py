"""A small fast HTTP server that keeps its own log: `python -m bench.load_server PORT`.

`/` is answered at once; `/delayed` after a time drawn from a log-normal distribution (median 8 ms,
1 % above 50 ms). `/log` gives the p99 of the latter as the server itself saw it, in seconds, and
begins a new log. Pipelined requests are answered one after the other, in whatever order.
"""

import asyncio
import random
import sys
from functools import partial

from canary.loadtest.generator import LatencyHistogram

MEDIAN = 0.008
SIGMA = 0.79
"""Of the logarithm: e^(2.326 σ) × 8 ms = 50 ms."""


class Log:
    """Durations of delayed answers since it was last read."""

    def __init__(self) -> None:
        self.seen = LatencyHistogram()
        self.delays = random.Random(1)  # noqa: S311 - reproducible, and no secret

    def read(self) -> bytes:
        """The p99 in seconds; then it is empty."""
        p99, self.seen = self.seen.quantile(0.99), LatencyHistogram()
        return f"{p99:.6f}".encode()


class Connection(asyncio.Protocol):
    """One connection; requests without bodies only."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps it."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP is what we serve
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers every request that is complete."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for request in requests:
            path = request.split(b" ", 2)[1]
            if path == b"/delayed":
                delay = self._log.delays.lognormvariate(0, SIGMA) * MEDIAN
                self._loop.call_later(delay, self._delayed, self._loop.time())
            else:
                self._write(self._log.read() if path == b"/log" else b"ok")

    def _delayed(self, start: float) -> None:
        self._log.seen.add(self._loop.time() - start)
        self._write(b"ok")

    def _write(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        if not self._transport.is_closing():
            self._transport.write(head + body)


async def main(port: int) -> None:
    """Serves until it is ended."""
    log = Log()
    server = await asyncio.get_running_loop().create_server(
        partial(Connection, log), "127.0.0.1", port, backlog=4096
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
