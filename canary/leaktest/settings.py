"""Turns the options of `canary leaktest` into subjects, policy and timing."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from canary.errors import UsageError
from canary.leaktest.evaluation import MIN_READINGS, LeakTestPolicy
from canary.leaktest.metrics_reader import MetricsPageReader
from canary.leaktest.postgres_reader import PostgresActivityReader
from canary.leaktest.types import LeakTestTiming, SubjectUnderTest
from canary.loadtest import settings
from canary.loadtest.generator import LoadPlan, LoadSchedule, LoadStage

_MIN_DRAIN = 0.05
"""Minimum drain in seconds."""


@dataclass(frozen=True, slots=True)
class LeakTestSettings:
    """The options that apply to both versions; times are seconds."""

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
    min_offered: float
    at_rate: float | None
    timeout: float | None
    max_in_flight: int
    workers: int
    http2: bool
    ca_file: Path | None
    insecure: bool
    seed: int
    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionOptions:
    """The options of one version; `prefix` is the prefix of their names."""

    prefix: str
    url: str
    pages: tuple[str, ...]
    application: str | None


def build_limits(wish: LeakTestSettings) -> tuple[LeakTestPolicy, LeakTestTiming]:
    """Build the policy and the timing. Raises UsageError for options out of range."""
    _check_above("--rule-out", wish.rule_out, 1, "requests per lost connection, such as 2000")
    if not 0 < wish.false_positive_rate < 1:
        raise UsageError(
            "--false-positive-rate: expected a probability such as 0.01, "
            f"found {wish.false_positive_rate:g}"
        )
    if not 0 <= wish.min_offered <= 1:
        raise UsageError(f"--min-offered: expected a share from 0 to 1, found {wish.min_offered:g}")
    _check_above("--rate", wish.rate, 0, "requests per second")
    if wish.at_rate is not None:
        _check_above("--at-rate", wish.at_rate, 0, "requests per second")
    if wish.maximum is not None:
        _check_above("--max", wish.maximum, 0, "connections")
    if wish.drain < _MIN_DRAIN:
        raise UsageError(f"--drain: expected {_MIN_DRAIN:g} s or more, found {wish.drain:g} s")
    pace = LeakTestTiming(
        most=wish.duration,
        drain=wish.drain,
        patience=max(wish.patience, wish.drain),
        reading_interval=min(LeakTestTiming().reading_interval, wish.drain / MIN_READINGS),
        at_rate=wish.at_rate,
    )
    policy = LeakTestPolicy(
        smallest=wish.rule_out,
        false_positive_rate=wish.false_positive_rate,
        min_offered_ratio=wish.min_offered,
        min_load=min(LeakTestPolicy().min_load, wish.drain),
    )
    least = pace.warm_up + (policy.idle + policy.loads) * (wish.drain + 1)
    if wish.duration < least:
        raise UsageError(
            f"--duration: expected at least {least:.0f} s for {policy.idle} drains before and "
            f"{policy.loads} drains after loads, found {wish.duration:g} s"
        )
    return policy, pace


def _check_above(option: str, value: float, least: float, what: str) -> None:
    if not (math.isfinite(value) and value > least):
        raise UsageError(f"{option}: expected more than {least:g} ({what}), found {value:g}")


def check_no_stable(pages: Sequence[str] | None, application: str | None) -> None:
    """Raise UsageError for options of the stable version without `--stable`."""
    if pages or application:
        raise UsageError("--stable-metrics-url and --stable-application-name require --stable URL")


@contextmanager
def open_subjects(
    sides: Sequence[VersionOptions], wish: LeakTestSettings
) -> Iterator[list[SubjectUnderTest]]:
    """Open the subjects of the test, and close them at the end.

    Raises:
        UsageError: an option, a file or a target is invalid.
        TransientError: PostgreSQL accepts no connection.
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
        raise UsageError(f"expected either --postgres or {found}, found both")
    if not side.application:
        raise UsageError(
            f"--postgres requires --{side.prefix}application-name, which identifies the version's "
            "connections"
        )
    return PostgresActivityReader(dsn, side.application, wish.maximum)
