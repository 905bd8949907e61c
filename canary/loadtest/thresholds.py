"""What a load must meet, and whether it did: pure, whoever made the load.

Two things keep a threshold from being judged by what was seen. A generator that sends late adds its
own delay to every latency (and time-outs), so what fails there may not be the target's fault. A
generator that does not send what is due has not put the load on the target, so nothing passes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from canary.api import Verdict
from canary.errors import UsageError
from canary.results.gate_result import Case, Fact
from canary.text.format import latency

MIN_OFFERED = 0.99
"""Share of the due requests that must have been sent in time, or the generator was the limit."""
_NOTABLE_LAG = 0.1
"""Share of p99 from which the generator's own delay is worth a word."""
_ROUNDING_ERROR = 1e-9
P99_TAIL = 0.01
"""Share of requests that may be slower than p99."""


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """What was seen, warm-up left out; latencies are seconds."""

    due: int
    over: int
    """Sent and over: answered, failed or timed out."""
    failed: int
    seconds: float
    """How long requests were due (at random arrivals: how long so many take on average)."""
    p50: float
    p99: float
    longest: float
    p99_lag: float = 0.0
    """How late requests were sent: the generator's own part of each latency."""
    unsent: int = 0
    """Due while too many others had no answer."""
    late: int = 0
    """Sent so late that the load was not the one asked for."""
    timeouts: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    best: float | None = None
    """Of a load that ended early: good answers per second if all the rest had been good."""
    cpu: float | None = None
    """Share of a core that the busiest process of the generator used; None: not known."""

    @property
    def ok(self) -> int:
        """Requests that got what was expected."""
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
        """The generator, not the target, was the limit."""
        return self.offered < MIN_OFFERED

    @property
    def starved(self) -> bool:
        """It was so because requests went out late: time-outs may be its own doing."""
        return self.late > (1 - MIN_OFFERED) * self.due


@dataclass(frozen=True, slots=True)
class LoadThresholds:
    """What is asked; None: not asked."""

    max_error_ratio: float | None = 0.01
    max_p99: float | None = None
    """Seconds."""
    min_rate: float | None = None
    """Good answers per second."""

    def check(self, *, rate: float | None, timeout: float | None) -> None:
        """Raises UsageError for what no run, or every run, would meet.

        `rate` is the planned mean in requests/s, `timeout` is seconds; None: not known.
        """
        if self.max_error_ratio is not None and not 0 <= self.max_error_ratio <= 1:
            raise UsageError(
                "--max-error-ratio: a share from 0 to 1, or 0% to 100%, is expected, "
                f"found {self.max_error_ratio:g}"
            )
        if self.max_p99 is not None and self.max_p99 <= 0:
            raise UsageError("--max-p99: a time of 1ms or more is expected, found 0s")
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


def judge_thresholds(asked: LoadThresholds, seen: LoadFigures) -> list[Case]:
    """One case for each threshold, and one for the generator."""
    judged = [_generator_case(seen)]
    if asked.max_error_ratio is not None:
        judged.append(_error_case(asked.max_error_ratio, seen))
    if asked.max_p99 is not None:
        judged.append(_p99_case(asked.max_p99, seen))
    if asked.min_rate is not None:
        judged.append(_rate_case(asked.min_rate, seen))
    return judged


def find_unreachable(asked: LoadThresholds, seen: LoadFigures, due: int, seconds: float) -> str:
    """The threshold that the rest of the load cannot save, however good; empty: all can be met.

    `due` and `seconds` are those of the whole load. No statistics: it fails for certain.
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
    """More requests than 1 % of all that will ever be due were slower than p99 may be.

    `quantile` gives the latency (s) that a share of those that are over did not exceed.
    """
    if asked.max_p99 is None or seen.over <= P99_TAIL * due:
        return False
    return quantile(1 - P99_TAIL * due / seen.over) - seen.p99_lag > asked.max_p99


def _error_case(most: float, seen: LoadFigures) -> Case:
    if not seen.over:
        return Case("error ratio", Verdict.NO_DATA, "no request completed")
    ratio = seen.failed / seen.over
    by = f": {format_statuses(seen.statuses)}" if seen.failed else ""
    sentence = f"{seen.failed:,} of {seen.over:,} failed ({ratio:.2%}, at most {100 * most:g}%){by}"
    verdict = Verdict.FAIL if ratio > most else Verdict.PASS
    if ratio > most and seen.starved and (seen.failed - seen.timeouts) / seen.over <= most:
        verdict = Verdict.NO_DATA
        sentence += "; the time-outs may be the generator's own doing"
    facts: dict[str, Fact] = {
        "ratio": ratio,
        "failed": seen.failed,
        "over": seen.over,
        "most": most,
    }
    return Case("error ratio", verdict, sentence, facts=facts)


def _p99_case(most: float, seen: LoadFigures) -> Case:
    facts: dict[str, Fact] = {"p99Seconds": seen.p99, "lagP99Seconds": seen.p99_lag, "most": most}
    if not seen.p99:
        return Case("p99", Verdict.NO_DATA, "no answer: there is nothing to judge", facts=facts)
    sentence = f"99 % took at most {latency(seen.p99)} (at most {latency(most)})"
    if seen.p99 <= most:
        return Case("p99", Verdict.PASS, sentence, facts=facts)
    if seen.p99 - seen.p99_lag <= most:
        sentence += f"; requests left the generator up to {latency(seen.p99_lag)} late"
        return Case("p99", Verdict.NO_DATA, sentence, facts=facts)
    return Case("p99", Verdict.FAIL, sentence, facts=facts)


def _rate_case(least: float, seen: LoadFigures) -> Case:
    sentence = f"{seen.achieved:,.6g} good answers/s (at least {least:,.6g})"
    facts: dict[str, Fact] = {"achieved": seen.achieved, "least": least, "offered": seen.offered}
    if seen.best is not None and seen.best >= least:
        return Case("rate achieved", Verdict.CONTINUE, f"{sentence}; not over", facts=facts)
    if seen.achieved >= least * (1 - _ROUNDING_ERROR):
        return Case("rate achieved", Verdict.PASS, sentence, facts=facts)
    if seen.limited and (seen.due - seen.failed) / seen.seconds >= least:
        sentence += "; the generator did not send enough"
        return Case("rate achieved", Verdict.NO_DATA, sentence, facts=facts)
    return Case("rate achieved", Verdict.FAIL, sentence, facts=facts)


def _generator_case(seen: LoadFigures) -> Case:
    facts: dict[str, Fact] = {
        "due": seen.due,
        "unsent": seen.unsent,
        "late": seen.late,
        "lagP99Seconds": seen.p99_lag,
        "cpu": seen.cpu,
    }
    if not seen.due:
        return Case("generator", Verdict.NO_DATA, "no request was due", facts=facts)
    sentence = "; ".join(_describe_sending(seen))
    verdict = Verdict.NO_DATA if seen.limited else Verdict.PASS
    return Case("generator", verdict, sentence, facts=facts)


def _describe_sending(seen: LoadFigures) -> Iterator[str]:
    yield f"{seen.offered:.2%} of {seen.due:,} requests sent when due"
    if seen.late:
        yield f"{seen.late:,} late"
    if seen.unsent:
        yield f"{seen.unsent:,} not sent, as too many had no answer"
    if seen.cpu is not None:
        own = ", so much may p99 be too high" if seen.p99_lag > _NOTABLE_LAG * seen.p99 else ""
        yield f"99 % within {latency(seen.p99_lag)}{own}"
        yield f"busiest process at {seen.cpu:.0%} of a core"


def format_statuses(statuses: Mapping[str, int]) -> str:
    """`503 ×80, timeout ×4`: those that are not 2xx or 3xx, most frequent first."""
    bad = [(count, status) for status, count in statuses.items() if status[:1] not in {"2", "3"}]
    shown = sorted(bad or [(count, status) for status, count in statuses.items()], reverse=True)
    more = ", …" if len(shown) > 4 else ""  # noqa: PLR2004 - what fits a line
    return ", ".join(f"{status} ×{count:,}" for count, status in shown[:4]) + more
