"""How fast and how exact the load is: `python -m bench.load [--write]`.

Everything runs on this machine, so the server takes its part of the cores as well. wrk, hey and
nghttpd (Debian packages wrk, hey, nghttp2-server) are measured beside it where they are installed.
"""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

from canary.loadtest.generator import (
    LoadPlan,
    LoadSchedule,
    LoadStage,
    RequestMix,
    RequestTemplate,
    parse_template,
)
from canary.loadtest.generator.run import LoadResult, run_load

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
START, END = "<!-- bench-load:start -->", "<!-- bench-load:end -->"
SECONDS = 4.0
RATES = (2000, 5000, 8000, 11000, 14000)
DELAYED_RATE = 500
RUNS = 3
Row = tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--write", action="store_true", help="rewrite docs/benchmarks.md")
    options = parser.parse_args(arguments)
    lines = [f"Load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.", ""]
    lines += _lines()
    print("\n".join(lines))
    if options.write:
        _write(lines)
    return 0


def _lines() -> Iterator[str]:
    with _server() as url:
        yield "| load on a fast server | requests/s | per core of the generator | p99 |"
        yield "|---|---|---|---|"
        for row in [*_ours(url), *_http2(), *_peers(url)]:
            yield f"| {' | '.join(row)} |"
        yield ""
        yield "| p99 of a server with random delays | measured | server's own log | off by | lag |"
        yield "|---|---|---|---|---|"
        for row in _exact(url):
            yield f"| {' | '.join(row)} |"


def _ours(url: str) -> Iterator[Row]:
    for workers in (1, 2):
        best = None
        for rate in RATES:
            result = _loaded(url, rate * workers, workers=workers)
            if result.measured.offered_ratio < 0.99 or result.measured.error_ratio:
                break
            best = result
        if best is not None:
            yield _row(f"canary loadtest, {workers} worker{'s'[: workers - 1]}", best)


def _http2() -> Iterator[Row]:
    if shutil.which("nghttpd") is None:
        return
    with TemporaryDirectory() as folder:
        (Path(folder) / "index.html").write_text("ok")
        port = _free_port()
        command = ["nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", folder, str(port)]
        with _running(command, port) as url:
            yield _row("canary loadtest, HTTP/2", _loaded(url, 5000, http2=True))


def _row(name: str, result: LoadResult) -> Row:
    seen = result.measured
    rate = seen.ok / SECONDS
    per_core = rate / max(result.cpu * result.plan.workers, 1e-9)
    p99 = f"{1000 * seen.latency.quantile(0.99):.1f} ms"
    return name, f"{rate:,.0f}", f"{per_core:,.0f}", p99


def _peers(url: str) -> Iterator[Row]:
    """At full speed, closed loop: the next request waits for the answer before."""
    if shutil.which("wrk"):
        said = _said(["wrk", "-t1", "-c64", f"-d{SECONDS:g}s", "--latency", url])
        yield (
            "wrk, closed loop",
            _found(r"Requests/sec:\s+(\d+)", said),
            "–",
            _found(r"99%\s+(\S+)", said),
        )
    if shutil.which("hey"):
        said = _said(["hey", "-z", f"{SECONDS:g}s", "-c", "64", "-cpus", "1", url])
        p99 = _found(r"99%+ in ([\d.]+) secs", said)
        yield "hey, closed loop", _found(r"Requests/sec:\s+(\d+)", said), "–", f"{p99} s"


def _exact(url: str) -> Iterator[Row]:
    """Several runs: what else keeps the machine busy shows as lag, and in the figure beside it."""
    for number in range(1, RUNS + 1):
        _log(url)
        seen = _loaded(url, DELAYED_RATE, path="/delayed", seconds=2 * SECONDS).measured
        lag = f"{1000 * seen.lag.quantile(0.99):.1f} ms"
        yield (
            *_compared(f"canary loadtest, run {number}", seen.latency.quantile(0.99), _log(url)),
            lag,
        )
    if shutil.which("hey"):
        clients, each = 50, DELAYED_RATE // 50
        command = ["hey", "-z", f"{2 * SECONDS:g}s", "-c", str(clients), "-q", str(each)]
        said = _said([*command, f"{url}/delayed"])
        measured = float(_found(r"99%+ in ([\d.]+) secs", said))
        yield *_compared("hey, from sending", measured, _log(url)), "not kept"


def _compared(name: str, measured: float, logged: float) -> Row:
    off = (measured - logged) / logged
    return name, f"{1000 * measured:.1f} ms", f"{1000 * logged:.1f} ms", f"{off:+.1%}"


def _loaded(  # noqa: PLR0913 - what a row varies
    url: str,
    rate: float,
    *,
    workers: int = 1,
    http2: bool = False,
    path: str = "/",
    seconds: float = SECONDS,
) -> LoadResult:
    schedule = LoadSchedule(
        (LoadStage(rate, rate, 1.0, measured=False), LoadStage(rate, rate, seconds))
    )
    mix = RequestMix((RequestTemplate(path, path=parse_template(path)),))
    return run_load(LoadPlan(url, schedule, mix, workers=workers, http2=http2))


def _log(url: str) -> float:
    with urllib.request.urlopen(f"{url}/log", timeout=5) as answer:  # noqa: S310 - our own server
        return float(answer.read())


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else "?"


@contextmanager
def _server() -> Iterator[str]:
    port = _free_port()
    with _running([sys.executable, "-m", "bench.load_server", str(port)], port) as url:
        yield url


@contextmanager
def _running(command: list[str], port: int) -> Iterator[str]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - our own
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _wait_for(port: int) -> None:
    never = Event()
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            never.wait(0.05)
        else:
            return
    raise TimeoutError("the server did not start")


def _write(lines: list[str]) -> None:
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    content = "\n".join([START, *lines, END])
    DOCUMENT.write_text(before + content + after, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
