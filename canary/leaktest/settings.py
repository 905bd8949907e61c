"""From the options of `canary leaktest` to what is tested, and how."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from canary.errors import UsageError
from canary.leaktest.evaluation import LeakTestPolicy
from canary.leaktest.metrics_reader import MetricsPageReader
from canary.leaktest.postgres_reader import PostgresActivityReader
from canary.leaktest.types import LeakTestTiming, SubjectUnderTest
from canary.loadtest import settings
from canary.loadtest.generator import LoadPlan, LoadSchedule, LoadStage

_MIN_DRAIN = 0.75
"""Seconds: three readings."""


@dataclass(frozen=True, slots=True)
class LeakTestSettings:
    """The options that hold for both versions; times are seconds."""

    rate: float
    duration: float
    drain: float
    patience: float
    requests: Path | None
    preset: str | None
    maximum: float | None
    postgres: str | None
    rule_out: float
    false_positive_rate: float
    at_rate: float | None
    timeout: float
    max_in_flight: int
    workers: int
    http2: bool
    ca_file: Path | None
    insecure: bool
    seed: int
    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionOptions:
    """One version as it was named; `prefix` is that of its options."""

    prefix: str
    url: str
    pages: tuple[str, ...]
    application: str | None


def build_limits(wish: LeakTestSettings) -> tuple[LeakTestPolicy, LeakTestTiming]:
    """When it is a leak, and how long it may take. Raises UsageError."""
    _check_above("--rule-out", wish.rule_out, 1, "requests per lost connection, such as 2000")
    if not 0 < wish.false_positive_rate < 1:
        raise UsageError(
            f"--false-positive-rate: a chance such as 0.01, found {wish.false_positive_rate:g}"
        )
    _check_above("--rate", wish.rate, 0, "requests per second")
    if wish.at_rate is not None:
        _check_above("--at-rate", wish.at_rate, 0, "requests per second")
    if wish.maximum is not None:
        _check_above("--max", wish.maximum, 0, "connections")
    if wish.drain < _MIN_DRAIN:
        raise UsageError(f"--drain: 750ms or more is expected, found {wish.drain:g} s")
    pace = LeakTestTiming(
        most=wish.duration,
        drain=wish.drain,
        patience=max(wish.patience, wish.drain),
        at_rate=wish.at_rate,
    )
    policy = LeakTestPolicy(smallest=wish.rule_out, false_positive_rate=wish.false_positive_rate)
    least = pace.warm_up + (policy.idle + policy.loads) * (wish.drain + 1)
    if wish.duration < least:
        raise UsageError(
            f"--duration: at least {least:.0f} s are expected for {policy.idle} drains before and "
            f"{policy.loads} after loads, found {wish.duration:g} s"
        )
    return policy, pace


def _check_above(option: str, value: float, least: float, what: str) -> None:
    if not (math.isfinite(value) and value > least):
        raise UsageError(f"{option}: more than {least:g} is expected ({what}), found {value:g}")


def check_no_stable(pages: Sequence[str] | None, application: str | None) -> None:
    """Raises UsageError for options of a version that is not tested."""
    if pages or application:
        raise UsageError("--stable-metrics-url and --stable-application-name need --stable URL")


@contextmanager
def open_subjects(
    sides: Sequence[VersionOptions], wish: LeakTestSettings
) -> Iterator[list[SubjectUnderTest]]:
    """What is tested; all that is opened for it is closed at the end.

    Raises:
        UsageError: an option, a file or a target is wrong.
        TransientError: PostgreSQL takes no connection.
    """
    plans = [_build_plan(side, wish) for side in sides]
    with ExitStack() as opened:
        sources = [opened.enter_context(closing(_open_source(side, wish))) for side in sides]
        yield [SubjectUnderTest(*both) for both in zip(plans, sources, strict=True)]


def _build_plan(side: VersionOptions, wish: LeakTestSettings) -> LoadPlan:
    asked = settings.LoadTestSettings(
        rate=f"{wish.rate:.6f}",
        duration=wish.duration,
        warm_up=0.0,
        random=False,
        timeout=wish.timeout,
        max_in_flight=wish.max_in_flight,
        workers=wish.workers,
        http2=wish.http2,
        ca_file=wish.ca_file,
        insecure=wish.insecure,
        seed=wish.seed,
    )
    plan = settings.build_plan(side.url, wish.requests, asked, wish.allowed)
    return replace(plan, schedule=LoadSchedule((LoadStage(wish.rate, wish.rate, wish.duration),)))


def _open_source(
    side: VersionOptions, wish: LeakTestSettings
) -> MetricsPageReader | PostgresActivityReader:
    if wish.postgres is not None:
        return _open_postgres(side, wish, wish.postgres)
    pages = side.pages or (f"{side.url.partition('?')[0].rstrip('/')}/metrics",)
    return MetricsPageReader(pages, wish.preset, wish.maximum, side.application)


def _open_postgres(
    side: VersionOptions, wish: LeakTestSettings, dsn: str
) -> PostgresActivityReader:
    if wish.preset or side.pages:
        found = f"--{side.prefix}metrics-url" if side.pages else "--preset"
        raise UsageError(f"either --postgres or {found} is expected, found both")
    if not side.application:
        raise UsageError(
            f"--postgres: --{side.prefix}application-name is needed as well, which tells the "
            "version's connections from others"
        )
    return PostgresActivityReader(dsn, side.application, wish.maximum)
