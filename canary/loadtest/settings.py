"""Turns the options of `canary loadtest` into a plan and its thresholds."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from canary.errors import UsageError
from canary.loadtest.generator import (
    ArrivalSpacing,
    LoadPlan,
    RequestMix,
    RequestTemplate,
    TextTemplate,
    TlsSettings,
)
from canary.loadtest.generator.plan import check_allowed, parse_host
from canary.loadtest.generator.request_file import read_requests
from canary.loadtest.generator.schedule import parse_schedule
from canary.loadtest.thresholds import LoadThresholds

DEFAULT_RATE = "50"
"""Default rate in requests per second."""
DEFAULT_TIMEOUT = 10.0
"""Default request timeout in seconds."""
DEFAULT_WARM_UP = 2.0
"""Default warm-up in seconds."""
DEFAULT_MAX_ERROR_RATIO = 0.01


@dataclass(frozen=True, slots=True)
class LoadTestSettings:
    """The options as given; times are seconds, and None stands for the default."""

    rate: str | None
    duration: float | None
    warm_up: float
    random: bool
    timeout: float | None
    max_in_flight: int
    workers: int
    http2: bool
    ca_file: Path | None
    insecure: bool
    seed: int


def check_not_combined(option: str, others: Mapping[str, object]) -> None:
    """Raise UsageError if one of the other options is given."""
    for name, value in others.items():
        if value is not None and value is not False:
            raise UsageError(f"{name} cannot be combined with {option}: set it in the script")


def build_plan(
    url: str, requests: Path | None, wish: LoadTestSettings, allowed: Collection[str]
) -> LoadPlan:
    """Build the plan. Raises UsageError for a forbidden target, an invalid file or option."""
    base, mix = (url, read_requests(requests)) if requests else _single_request(url)
    check_allowed(base, allowed)
    rate = DEFAULT_RATE if wish.rate is None else wish.rate
    spacing = ArrivalSpacing.RANDOM if wish.random else ArrivalSpacing.EVEN
    return LoadPlan(
        base,
        parse_schedule(rate, wish.duration, wish.warm_up, spacing),
        mix,
        workers=wish.workers,
        max_in_flight=wish.max_in_flight,
        timeout=DEFAULT_TIMEOUT if wish.timeout is None else wish.timeout,
        http2=wish.http2,
        tls=TlsSettings(_check_readable(wish.ca_file), wish.insecure),
        seed=wish.seed,
    )


def build_thresholds(
    max_error_ratio: float | None,
    max_p99: float | None,
    min_rate: str | None,
    plan: LoadPlan | None,
) -> LoadThresholds:
    """Build the thresholds of a plan (None: of a script with an unknown plan).

    Raises:
        UsageError: a threshold that every run, or no run, would meet.
    """
    mean = None if plan is None else _mean_rate(plan)
    asked = LoadThresholds(
        DEFAULT_MAX_ERROR_RATIO if max_error_ratio is None else max_error_ratio,
        max_p99,
        None if min_rate is None else _parse_min_rate(min_rate, mean),
    )
    asked.check(rate=mean, timeout=None if plan is None else plan.timeout)
    return asked


def _single_request(url: str) -> tuple[str, RequestMix]:
    """Return the base URL and a mix of one GET of that URL. Raises UsageError for no URL."""
    parse_host(url.partition("#")[0].partition("?")[0])
    parts = urlsplit(url)
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    base = urlunsplit((parts.scheme, parts.netloc, "", "", parts.fragment))
    return base, RequestMix((RequestTemplate(f"GET {path}", path=TextTemplate((path,))),))


def _check_readable(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        file.open("rb").close()
    except OSError as error:
        raise UsageError(f"--ca-file: cannot read {file}: {error.strerror}") from error
    return str(file)


def _mean_rate(plan: LoadPlan) -> float:
    stages = [stage for stage in plan.schedule.stages if stage.measured]
    return sum(stage.count for stage in stages) / sum(stage.seconds for stage in stages)


def _parse_min_rate(text: str, mean: float | None) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise UsageError(
            "--min-rate-achieved: expected requests per second (950) or a share (95%), "
            f"found {text!r}"
        )
    if not text.endswith("%"):
        return value
    if mean is None:
        raise UsageError("--min-rate-achieved: expected requests per second with --k6, found a %")
    return value / 100 * mean
