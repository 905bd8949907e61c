"""Checks the thresholds of a load, whichever program generated it. Pure.

A slow load generator makes a threshold undecidable in two ways. If it sends late, its own delay is
part of every latency (and causes timeouts), so a failure may not be the target's fault. If it does
not send all due requests, the target did not get the load, so nothing passes.

Example: p99 was 300 ms, the limit is 250 ms, and requests left the generator up to 80 ms late. The
target may have answered within 220 ms, so the threshold is inconclusive, not failed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from canary.api import Verdict
from canary.errors import UsageError
from canary.results.gate_result import Fact, ResultCase
from canary.text.format import format_latency

MIN_OFFERED = 0.99
"""Minimum share of the due requests that must be sent in time."""
_NOTABLE_LAG = 0.1
"""Share of p99 above which the generator's own delay is reported."""
_ROUNDING_ERROR = 1e-9
P99_TAIL = 0.01
"""Share of requests that may be slower than p99."""


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """Figures of a load, excluding warm-up; latencies are seconds."""

    due: int
    over: int
    """Completed requests: answered, failed or timed out."""
    failed: int
    seconds: float
    """Duration in which the schedule has `due` requests; with random arrivals, on average."""
    p50: float
    p99: float
    longest: float
    p99_lag: float = 0.0
    """Delay between due and sent: the generator's own part of the latencies."""
    unsent: int = 0
    """Requests that were due while too many others had no answer."""
    late: int = 0
    """Requests that were sent too late."""
    timeouts: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    best: float | None = None
    """If the load ended early: the rate of successful responses if all further requests succeed."""
    cpu: float | None = None
    """Share of a core that the generator's busiest process used; None: unknown."""

    @property
    def ok(self) -> int:
        """Successful requests."""
        return self.over - self.failed

    @property
    def achieved(self) -> float:
        """Good answers per second."""
        return self.ok / self.seconds if self.seconds else 0.0

    @property
    def offered(self) -> float:
        """Share (0–1) of the due requests that were sent in time."""
        return 1 - (self.unsent + self.late) / self.due if self.due else 1.0

    @property
    def limited(self) -> bool:
        """Whether the generator, not the target, limited the load."""
        return self.offered < MIN_OFFERED

    @property
    def starved(self) -> bool:
        """Whether requests were sent late, so the generator may have caused the timeouts."""
        return self.late > (1 - MIN_OFFERED) * self.due


@dataclass(frozen=True, slots=True)
class LoadThresholds:
    """The thresholds; None: not checked."""

    max_error_ratio: float | None = 0.01
    max_p99: float | None = None
    """Maximum 99th percentile of latency in seconds."""
    min_rate: float | None = None
    """Minimum successful responses per second."""

    def check(self, *, rate: float | None, timeout: float | None) -> None:
        """Raise UsageError for a threshold that every run, or no run, would meet.

        `rate` is the planned mean in requests per second, `timeout` is seconds; None: unknown.
        """
        if self.max_error_ratio is not None and not 0 <= self.max_error_ratio <= 1:
            raise UsageError(
                "--max-error-ratio: expected a share from 0 to 1, or 0% to 100%, "
                f"found {self.max_error_ratio:g}"
            )
        if self.max_p99 is not None and self.max_p99 <= 0:
            raise UsageError("--max-p99: expected 1ms or more, found 0s")
        if self.max_p99 is not None and timeout is not None and self.max_p99 >= timeout:
            raise UsageError(
                f"--max-p99 ({self.max_p99:g} s) must be shorter than --timeout ({timeout:g} s): "
                "nothing takes longer than that, so the threshold would always hold"
            )
        if self.min_rate is not None and rate is not None and self.min_rate > rate * (1 + 1e-9):
            raise UsageError(
                f"--min-rate-achieved ({self.min_rate:g}/s) must be at most the mean of --rate "
                f"({rate:g}/s): no target could achieve it"
            )


def judge_thresholds(asked: LoadThresholds, seen: LoadFigures) -> list[ResultCase]:
    """Return a case for each threshold, and one for the load generator."""
    judged = [_generator_case(seen)]
    if asked.max_error_ratio is not None:
        judged.append(_error_case(asked.max_error_ratio, seen))
    if asked.max_p99 is not None:
        judged.append(_p99_case(asked.max_p99, seen))
    if asked.min_rate is not None:
        judged.append(_rate_case(asked.min_rate, seen))
    return judged


def find_unreachable(asked: LoadThresholds, seen: LoadFigures, due: int, seconds: float) -> str:
    """Return a threshold that the rest of the load cannot meet any more; empty: there is none.

    `due` and `seconds` are those of the whole load. This is arithmetic, not statistics: the
    threshold fails even if all further answers are good.
    """
    errors = seen.failed - (seen.timeouts if seen.starved else 0)
    if asked.max_error_ratio is not None and errors > asked.max_error_ratio * due:
        return "error ratio"
    if asked.min_rate is not None and due - errors < asked.min_rate * seconds:
        return "rate achieved"
    return ""


def is_certainly_slow(
    asked: LoadThresholds, seen: LoadFigures, due: int, quantile: Callable[[float], float]
) -> bool:
    """Return whether more than 1 % of all requests of the load already exceeded the p99 limit.

    `quantile` returns the latency (s) that a share of the completed requests does not exceed.
    """
    if asked.max_p99 is None or seen.over <= P99_TAIL * due:
        return False
    return quantile(1 - P99_TAIL * due / seen.over) - seen.p99_lag > asked.max_p99


def _error_case(most: float, seen: LoadFigures) -> ResultCase:
    if not seen.over:
        return ResultCase("error ratio", Verdict.NO_DATA, "no request completed")
    ratio = seen.failed / seen.over
    by = f": {format_statuses(seen.statuses)}" if seen.failed else ""
    sentence = f"{seen.failed:,} of {seen.over:,} failed ({ratio:.2%}, at most {100 * most:g}%){by}"
    verdict = Verdict.FAIL if ratio > most else Verdict.PASS
    if ratio > most and seen.starved and (seen.failed - seen.timeouts) / seen.over <= most:
        verdict = Verdict.NO_DATA
        sentence += "; the load generator may have caused the timeouts"
    facts: dict[str, Fact] = {
        "ratio": ratio,
        "failed": seen.failed,
        "over": seen.over,
        "most": most,
    }
    return ResultCase("error ratio", verdict, sentence, facts=facts)


def _p99_case(most: float, seen: LoadFigures) -> ResultCase:
    facts: dict[str, Fact] = {"p99Seconds": seen.p99, "lagP99Seconds": seen.p99_lag, "most": most}
    if not seen.p99:
        return ResultCase("p99", Verdict.NO_DATA, "no request was answered", facts=facts)
    sentence = f"99 % took at most {format_latency(seen.p99)} (at most {format_latency(most)})"
    if seen.p99 <= most:
        return ResultCase("p99", Verdict.PASS, sentence, facts=facts)
    if seen.p99 - seen.p99_lag <= most:
        sentence += f"; the load generator sent up to {format_latency(seen.p99_lag)} late"
        return ResultCase("p99", Verdict.NO_DATA, sentence, facts=facts)
    return ResultCase("p99", Verdict.FAIL, sentence, facts=facts)


def _rate_case(least: float, seen: LoadFigures) -> ResultCase:
    sentence = f"{seen.achieved:,.6g} good answers/s (at least {least:,.6g})"
    facts: dict[str, Fact] = {"achieved": seen.achieved, "least": least, "offered": seen.offered}
    if seen.best is not None and seen.best >= least:
        return ResultCase(
            "rate achieved", Verdict.CONTINUE, f"{sentence}; not completed", facts=facts
        )
    if seen.achieved >= least * (1 - _ROUNDING_ERROR):
        return ResultCase("rate achieved", Verdict.PASS, sentence, facts=facts)
    if seen.limited and (seen.due - seen.failed) / seen.seconds >= least:
        sentence += "; the load generator did not send enough"
        return ResultCase("rate achieved", Verdict.NO_DATA, sentence, facts=facts)
    return ResultCase("rate achieved", Verdict.FAIL, sentence, facts=facts)


def _generator_case(seen: LoadFigures) -> ResultCase:
    facts: dict[str, Fact] = {
        "due": seen.due,
        "unsent": seen.unsent,
        "late": seen.late,
        "lagP99Seconds": seen.p99_lag,
        "cpu": seen.cpu,
    }
    if not seen.due:
        return ResultCase("generator", Verdict.NO_DATA, "no request was due", facts=facts)
    sentence = "; ".join(_describe_sending(seen))
    verdict = Verdict.NO_DATA if seen.limited else Verdict.PASS
    return ResultCase("generator", verdict, sentence, facts=facts)


def _describe_sending(seen: LoadFigures) -> Iterator[str]:
    yield f"{seen.offered:.2%} of {seen.due:,} requests sent when due"
    if seen.late:
        yield f"{seen.late:,} late"
    if seen.unsent:
        yield f"{seen.unsent:,} not sent because too many others had no answer"
    if seen.cpu is not None:
        own = ", which may be part of p99" if seen.p99_lag > _NOTABLE_LAG * seen.p99 else ""
        yield f"99 % within {format_latency(seen.p99_lag)}{own}"
        yield f"busiest process at {seen.cpu:.0%} of a core"


def format_statuses(statuses: Mapping[str, int]) -> str:
    """Return `503 ×80, timeout ×4`: statuses except 2xx and 3xx, most frequent first."""
    bad = [(count, status) for status, count in statuses.items() if status[:1] not in {"2", "3"}]
    shown = sorted(bad or [(count, status) for status, count in statuses.items()], reverse=True)
    more = ", …" if len(shown) > 4 else ""  # noqa: PLR2004 - what fits a line
    return ", ".join(f"{status} ×{count:,}" for count, status in shown[:4]) + more
