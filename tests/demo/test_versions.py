"""The switches of the auth service."""

import asyncio

import pytest
from starlette.responses import Response
from starlette.types import Message

from canary.demo.auth.versions import FaultyApp, ServiceVersion, parse_version
from canary.errors import UsageError


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("good", ServiceVersion()),
        ("leak", ServiceVersion(leaks=True)),
        ("refuse", ServiceVersion(refuses=True)),
        ("errors", ServiceVersion(error_rate=0.05)),
        ("errors:1", ServiceVersion(error_rate=1)),
        ("slow:0.2", ServiceVersion(delay=0.2)),
        ("crash:20", ServiceVersion(crash_at=20)),
        ("hiccups", ServiceVersion(hiccup_rate=0.3)),
    ],
)
def test_a_version_is_a_switch(text: str, version: ServiceVersion):
    """With a figure where there is one to choose."""
    assert parse_version(text) == version


@pytest.mark.parametrize(
    "text",
    ["", "bad", "errors:2", "errors:x", "errors:nan", "slow:-1", "crash:0", "crash:1.5", "good:1"],
)
def test_an_unknown_version_says_what_there_is(text: str):
    """Nothing falls back to `good` silently."""
    with pytest.raises(UsageError, match="expected good, leak, refuse, errors"):
        parse_version(text)


def statuses(version: ServiceVersion, seed: str, requests: int) -> list[int]:
    """What a service that always succeeds answers in this version."""
    found: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def run() -> None:
        flawed = FaultyApp(Response(), version, seed)
        for _ in range(requests):
            await flawed({"type": "http"}, receive, send)

    asyncio.run(run())
    return found


def test_the_same_seed_fails_the_same_requests():
    """A demo can be repeated."""
    version = ServiceVersion(error_rate=0.3)
    assert statuses(version, "1", 100) == statuses(version, "1", 100) != statuses(version, "2", 100)


def test_errors_fail_the_share_that_was_asked_for():
    """50 of 1,000 are expected, with a standard deviation of 7."""
    assert abs(statuses(ServiceVersion(error_rate=0.05), "1", 1000).count(500) - 50) < 4 * 7


def test_a_good_version_fails_nothing():
    """The switch is really off."""
    assert set(statuses(ServiceVersion(), "1", 100)) == {200}
