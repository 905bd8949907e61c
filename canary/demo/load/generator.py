"""Open-loop load: `python -m canary.demo.load.generator --url … --rate 50 --users 5000`.

Each request is sent at a time that was fixed in advance, whether or not earlier ones were answered.
Its latency is measured from that time, so a stalled service cannot hide its own slowness
(coordinated omission). One line of JSON per second goes to standard output (tally.Record), and a
last one with the sums; with --failures one line (`kind` "failure") for each failed request as well.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import aiohttp

from canary.demo.load.accounts import PASSWORD, user_name
from canary.demo.load.schedule import LoadProfile, RequestKind, UserArrival, generate_arrivals
from canary.demo.load.tally import NOBODY, LoadRecord, LoadStatistics, RequestResult
from canary.errors import UsageError

MAX_IN_FLIGHT = 2000
"""Requests beyond this are not sent but counted as failed with status `overload`."""
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """A request over HTTP."""

    method: str
    path: str
    headers: Mapping[str, str]
    json: Mapping[str, str] | None = None


class LoadSender:
    """Sends the requests that are due, and counts their results."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        ledger: LoadStatistics,
        seed: int,
        failed: Callable[[RequestResult], None],
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._seed = seed
        self._failed = failed
        self._token = ""
        self._names = 0
        self._flying: set[asyncio.Task[None]] = set()

    async def run(self, profile: LoadProfile, seconds: float) -> None:
        """Send for `seconds`, or until cancelled."""
        start = asyncio.get_running_loop().time()
        for arrival in generate_arrivals(profile, seconds):
            due = start + arrival.at
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            self._start_request(arrival, due)

    async def finish(self) -> None:
        """Wait for the outstanding answers."""
        await asyncio.gather(*self._flying)

    def _start_request(self, arrival: UserArrival, due: float) -> None:
        if arrival.kind is RequestKind.CHECK and not self._token:
            arrival = replace(arrival, kind=RequestKind.LOGIN)
        self._ledger.sent()
        if len(self._flying) >= MAX_IN_FLIGHT:
            self._record_result(RequestResult(arrival.kind, arrival.user, "overload", 0.0))
            return
        task = asyncio.create_task(self._serve_arrival(arrival, due))
        self._flying.add(task)
        task.add_done_callback(self._flying.discard)

    async def _serve_arrival(self, arrival: UserArrival, due: float) -> None:
        status, headers = await self._send_request(self._build_request(arrival))
        self._record_result(
            RequestResult(
                arrival.kind,
                arrival.user,
                status,
                asyncio.get_running_loop().time() - due,
                headers.get("X-Version", NOBODY),
                headers.get("X-Instance", NOBODY),
            )
        )

    def _record_result(self, outcome: RequestResult) -> None:
        self._ledger.add(outcome)
        if not outcome.ok:
            self._failed(outcome)

    def _build_request(self, arrival: UserArrival) -> LoadRequest:
        match arrival.kind:
            case RequestKind.REGISTER:
                self._names += 1
                name = f"new-{self._seed}-{self._names}"
                return LoadRequest("POST", "/register", {}, {"user": name, "password": PASSWORD})
            case RequestKind.CHECK:
                return LoadRequest("GET", "/check", {"Authorization": f"Bearer {self._token}"})
            case RequestKind.LOGIN:
                body = {"user": user_name(arrival.user), "password": PASSWORD}
                return LoadRequest("POST", "/login", {}, body)

    async def _send_request(self, request: LoadRequest) -> tuple[str, Mapping[str, str]]:
        try:
            async with self._session.request(
                request.method, request.path, headers=request.headers, json=request.json
            ) as answer:
                body = await answer.read()
                if request.path == "/login" and answer.ok:
                    self._token = str((await answer.json())["token"]) if body else self._token
                return str(answer.status), answer.headers
        except TimeoutError:
            return "timeout", {}
        except aiohttp.ClientConnectorError:
            return "refused", {}
        except (aiohttp.ClientError, ValueError, KeyError):
            return "broken", {}


async def _print_seconds(ledger: LoadStatistics, start: float) -> None:
    loop = asyncio.get_running_loop()
    second = 0
    while True:
        second += 1
        await asyncio.sleep(start + second - loop.time())
        _print_record(ledger.next_second(loop.time() - start))


async def _run_load(chosen: argparse.Namespace, profile: LoadProfile) -> None:
    ledger = LoadStatistics(profile.users)
    loop = asyncio.get_running_loop()
    timeout = aiohttp.ClientTimeout(total=chosen.timeout)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=15)
    host = {"Host": chosen.host} if chosen.host else {}
    start = loop.time()

    def failed(outcome: RequestResult) -> None:
        if chosen.failures:
            _print_failure(outcome, loop.time() - start)

    async with aiohttp.ClientSession(
        chosen.url, headers=host, timeout=timeout, connector=connector
    ) as session:
        load = LoadSender(session, ledger, profile.seed, failed)
        ticker = asyncio.create_task(_print_seconds(ledger, start))
        sender = asyncio.create_task(load.run(profile, chosen.seconds))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, sender.cancel)
        with suppress(asyncio.CancelledError):
            await sender
        await load.finish()
        ticker.cancel()
    _print_record(ledger.next_second(loop.time() - start))
    _print_record(ledger.summary(loop.time() - start))


def _print_record(record: LoadRecord) -> None:
    sys.stdout.write(record.to_json() + "\n")
    sys.stdout.flush()


def _print_failure(outcome: RequestResult, time: float) -> None:
    line = {"kind": "failure", "time": round(time, 3), "status": outcome.status}
    names = {"version": outcome.version, "instance": outcome.instance}
    sys.stdout.write(json.dumps(line | names) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Send until the time is over, or until SIGTERM or Ctrl-C, then print the totals."""
    parser = argparse.ArgumentParser(prog="canary.demo.load.generator", description=__doc__)
    parser.add_argument("--url", required=True, help="the router's entry point")
    parser.add_argument("--host", default="", help="what the header Host says")
    parser.add_argument("--failures", action="store_true", help="a line for each failed request")
    parser.add_argument("--rate", type=float, default=50.0, help="requests/s, at the peak")
    parser.add_argument("--day", type=float, default=0.0, help="length of a day in s; 0: constant")
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    try:
        profile = LoadProfile(chosen.rate, chosen.day, chosen.users, chosen.seed)
    except UsageError as error:
        parser.error(str(error))
    asyncio.run(_run_load(chosen, profile))


if __name__ == "__main__":
    main()
